"""BACKWARD_TRANSITIVE compatibility: today's schema must read whatever any released version wrote.

The rules are those of the Avro specification, section "Schema Resolution", for every kind of type; registries apply the
same. Here they are pure and answer with the field, what is wrong, and what to do instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from fastavro.validation import validate

from .fitting import Types, named_types
from .loading import Schema, current, released

_PROMOTIONS = {
    ("int", "long"), ("int", "float"), ("int", "double"),
    ("long", "float"), ("long", "double"),
    ("float", "double"),
    ("string", "bytes"), ("bytes", "string"),
}  # fmt: skip
"""(writer, reader) pairs of different primitive types that the reader understands."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason why a schema cannot read what an earlier version wrote.

    Attributes:
        record: full name of the record.
        version: the earlier version, by its number among the released or registered ones; None if not numbered.
        field: path of the field, empty for the record itself.
        what: what is wrong.
        fix: what to do instead.
    """

    record: str
    version: int | None
    field: str
    what: str
    fix: str

    def __str__(self) -> str:
        version = "" if self.version is None else f" against v{self.version}"
        return f"{self.record}{version}: {self.field}{': ' if self.field else ''}{self.what}; {self.fix}"


def check(reader: Schema, writer: Schema, *, version: int | None = None) -> list[Finding]:
    """Why `reader` cannot read everything that `writer` may have written; empty when it can."""
    comparison = _Comparison(named_types(reader.parsed), named_types(writer.parsed))
    return [
        Finding(reader.name, version, field, what, fix)
        for field, what, fix in comparison.compare(reader.parsed, writer.parsed, "")
    ]


def check_released(
    today: Mapping[str, Schema] | None = None, earlier: Mapping[str, Mapping[int, Schema]] | None = None
) -> list[Finding]:
    """Every finding of today's schemas against every released version: what `commlayer schemas check` and the tests
    ask. A record that was released must stay, for its data is still on its topics."""
    today = current() if today is None else today
    earlier = released() if earlier is None else earlier
    findings: list[Finding] = []
    for name, versions in earlier.items():
        if name not in today:
            findings.append(Finding(name, max(versions), "", "the record is gone", "keep it while its data is kept"))
            continue
        for number, writer in versions.items():
            findings += check(today[name], writer, version=number)
    return findings + list(_bad_defaults(today)) + list(_disagreements(today))


def _bad_defaults(today: Mapping[str, Schema]) -> Iterator[Finding]:
    """A default of another type than the field's first one would be read into records as it stands: fastavro does not
    look, registries differ."""
    for record, one in today.items():
        for definition in named_types(one.parsed).values():
            for field in definition.get("fields", ()):
                first = field["type"][0] if isinstance(field["type"], list) else field["type"]
                types = named_types(one.parsed)
                if "default" in field and not validate(
                    field["default"], _written_out(first, types), raise_errors=False, strict=False
                ):
                    path = f"{definition['name'].rpartition('.')[2]}.{field['name']}"
                    yield Finding(
                        record, None, path, f"its default is no {_words(_resolve(first, types))}", "correct it"
                    )


def _disagreements(today: Mapping[str, Schema]) -> Iterator[Finding]:
    """Schemas are self-contained, so a type that several use is written several times: always the same way."""
    first: dict[str, tuple[str, Any]] = {}
    for record, one in today.items():
        for name, definition in named_types(one.parsed).items():
            plain = _written_out(definition, named_types(one.parsed))
            owner, known = first.setdefault(name, (record, plain))
            if plain != known:
                yield Finding(record, None, "", f"{name} differs from the one in {owner}", "write both the same way")


def _written_out(node: Any, types: Types) -> Any:
    if isinstance(node, list):
        return [_written_out(branch, types) for branch in node]
    if isinstance(node, str):
        return _written_out(types[node], types) if node in types else node
    return {
        key: [{**field, "type": _written_out(field["type"], types)} for field in value]
        if key == "fields"
        else _written_out(value, types)
        if key in ("type", "items", "values") and not (key == "type" and isinstance(value, str))
        else value
        for key, value in node.items()
        if not key.startswith("__")
    }


_Reasons = Iterator[tuple[str, str, str]]
"""(field, what, fix) each."""


@dataclass(frozen=True, slots=True)
class _Comparison:
    reader_types: Types
    writer_types: Types
    within: frozenset[tuple[str, str]] = frozenset()

    def compare(self, reader: Any, writer: Any, path: str) -> _Reasons:
        reader, writer = _resolve(reader, self.reader_types), _resolve(writer, self.writer_types)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.compare(reader, branch, path)
        elif isinstance(reader, list):
            yield from self._into_union(reader, writer, path)
        elif _kind(reader) != _kind(writer):
            if (_kind(writer), _kind(reader)) not in _PROMOTIONS:
                yield (
                    path,
                    f"was {_words(writer)}, is now {_words(reader)}",
                    "add a new field and leave this one as it was",
                )
        else:
            yield from self._same_kind(reader, writer, path)

    def _into_union(self, reader: list[Any], writer: Any, path: str) -> _Reasons:
        if any(not list(self.compare(branch, writer, path)) for branch in reader):
            return
        alike = [branch for branch in reader if _kind(_resolve(branch, self.reader_types)) == _kind(writer)]
        if alike:  # the reasons of the branch that was meant
            yield from self.compare(alike[0], writer, path)
        else:
            now = " or ".join(_words(_resolve(branch, self.reader_types)) for branch in reader)
            yield path, f"may hold {_words(writer)}, is now {now}", "keep every type that was possible"

    def _same_kind(self, reader: Any, writer: Any, path: str) -> _Reasons:
        match _kind(reader):
            case "record":
                yield from self._records(reader, writer, path)
            case "enum":
                lost = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
                if not _same_name(reader, writer):
                    yield (
                        path,
                        f"was enum {writer['name']}, is now {reader['name']}",
                        "keep the name, or add it to aliases",
                    )
                elif lost and "default" not in reader:
                    yield path, f"the enum lost {', '.join(lost)}", "keep every symbol"
            case "fixed":
                if not _same_name(reader, writer) or reader["size"] != writer["size"]:
                    yield (
                        path,
                        "the fixed type has another name or size",
                        "add a new field and leave this one as it was",
                    )
            case "array":
                yield from self.compare(reader["items"], writer["items"], f"{path}[]")
            case "map":
                yield from self.compare(reader["values"], writer["values"], f"{path}{{}}")

    def _records(self, reader: Any, writer: Any, path: str) -> _Reasons:
        if not _same_name(reader, writer):
            yield path, f"was record {writer['name']}, is now {reader['name']}", "keep the name, or add it to aliases"
            return
        pair = (reader["name"], writer["name"])
        if pair in self.within:  # a recursive type: being compared already
            return
        deeper = replace(self, within=self.within | {pair})
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            inner = f"{path}.{field['name']}" if path else field["name"]
            names = [name for name in (field["name"], *field.get("aliases", ())) if name in written]
            if names:
                yield from deeper.compare(field["type"], written[names[0]]["type"], inner)
            elif "default" not in field:
                yield inner, "is new and has no default", "give it a default, such as null"


def _resolve(node: Any, types: Types) -> Any:
    if isinstance(node, str):
        return types.get(node, node)
    if isinstance(node, dict) and not isinstance(node["type"], str):
        return _resolve(node["type"], types)
    return node


def _kind(node: Any) -> str:
    if isinstance(node, list):
        return "union"
    return str(node["type"]) if isinstance(node, dict) else str(node)


def _words(node: Any) -> str:
    return f"{_kind(node)} {node['name']}" if isinstance(node, dict) and "name" in node else _kind(node)


def _same_name(reader: Any, writer: Any) -> bool:
    # Java's Avro, and with it the registries, compares names without namespace.
    def plain(name: str) -> str:
        return name.rpartition(".")[2]

    return plain(reader["name"]) == plain(writer["name"]) or any(
        plain(alias) == plain(writer["name"]) for alias in reader.get("aliases", ())
    )
