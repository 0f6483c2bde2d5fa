"""The YAML file as plain data that remembers on which line each value stands.

YAML 1.1 reads `NO` as false, `+14155550123` as a number and `12:30` as 750. A file full of countries and phone numbers
cannot live with that: here only `true`/`false` are booleans, a number has no leading plus or zero, all else is text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

from .problems import ConfigurationInvalid, Path, Problem


@dataclass(frozen=True, slots=True)
class Source:
    """A parsed file.

    Attributes:
        name: the file as it was named, for messages.
        data: nested dicts, lists and scalars.
        lines: line (from 1) of each path.
        problems: what is wrong with the file and leaves the rest readable: a key written twice, a strange tag.
    """

    name: str
    data: dict[str, Any]
    lines: dict[Path, int] = field(repr=False)
    problems: tuple[Problem, ...] = ()

    def line_of(self, path: Path) -> int | None:
        """Line of the value, or of the nearest thing around it that stands in the file."""
        for length in range(len(path), 0, -1):
            line = self.lines.get(path[:length])
            if line is not None:
                return line
        return None


class _Loader(yaml.SafeLoader):
    """SafeLoader with the scalars of YAML 1.2's core schema, minus octal and hexadecimal numbers."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)", "tTfF"),
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:(?:0|[1-9][0-9]*)?\.[0-9]+(?:[eE][-+]?[0-9]+)?|(?:0|[1-9][0-9]*)[eE][-+]?[0-9]+)", "-.0123456789"),
    ("null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
    ("merge", r"<<", "<"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^{_pattern}$"), list(_first))

_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq", "str", "bool", "int", "float", "null")}


def parse(text: str, name: str) -> Source:
    """Read YAML.

    Raises:
        ConfigurationInvalid: not YAML, or something else than a mapping at the top.
    """
    problems: list[Problem] = []
    lines: dict[Path, int] = {}
    try:
        loader = _Loader(text)
        try:
            node = loader.get_single_node()
            data = {} if node is None else _Reader(loader, lines, problems).read(node, ())
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        what = f"not YAML: {error.problem or error.context}."
        fix = "check indentation, quotes and brackets around this line."
        raise ConfigurationInvalid(name, [Problem((), what, fix, mark.line + 1 if mark else None)]) from error
    except yaml.YAMLError as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationInvalid(name, [Problem((), f"not YAML: {reason}.", "write plain UTF-8 text.")]) from error
    if not isinstance(data, dict):
        what = f"expected sections at the top, found {_kind(data)}."
        problems.append(Problem((), what, "start with `kafka:`, `accounts:` and so on.", 1))
        raise ConfigurationInvalid(name, problems)
    return Source(name, data, lines, tuple(problems))


class _Reader:
    """Turns YAML nodes into data, noting lines and repeated keys."""

    def __init__(self, loader: _Loader, lines: dict[Path, int], problems: list[Problem]) -> None:
        self._loader = loader
        self._lines = lines
        self._problems = problems
        self._open: list[yaml.Node] = []

    def read(self, node: yaml.Node, path: Path) -> Any:
        if any(node is outer for outer in self._open):
            fix = "write the value out instead of using the alias."
            self._problems.append(Problem(path, "an alias that contains itself.", fix, node.start_mark.line + 1))
            return None
        if node.tag not in _TAGS:
            what = f"a tag that means nothing here: {node.tag}."
            self._problems.append(Problem(path, what, "write the plain value.", node.start_mark.line + 1))
            return None
        self._open.append(node)
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, path)
            if isinstance(node, yaml.SequenceNode):
                return [self._item(item, (*path, index)) for index, item in enumerate(node.value)]
            return self._loader.construct_object(node)
        finally:
            self._open.pop()

    def _item(self, node: yaml.Node, path: Path) -> Any:
        self._lines[path] = node.start_mark.line + 1
        return self.read(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        self._refuse_repeats(node, path)
        self._loader.flatten_mapping(node)
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:  # merged keys come first, the mapping's own win
            key = str(self._loader.construct_object(key_node, deep=True))
            self._lines[(*path, key)] = key_node.start_mark.line + 1
            values[key] = self.read(value_node, (*path, key))
        return values

    def _refuse_repeats(self, node: yaml.MappingNode, path: Path) -> None:
        first: dict[str, int] = {}
        for key_node, _ in node.value:
            key, line = str(key_node.value), key_node.start_mark.line + 1
            if key in first and key != "<<":
                what = f"the key is written twice, first on line {first[key]}."
                self._problems.append(Problem((*path, key), what, "keep one of them.", line))
            first.setdefault(key, line)


def _kind(value: object) -> str:
    return "a list" if isinstance(value, list) else "nothing" if value is None else "a single value"
