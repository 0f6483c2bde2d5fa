"""From a file to a configuration that is whole and consistent, or to a list of everything that is wrong with it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path as FilePath

from pydantic import ValidationError

from .checks import check
from .draft import draft
from .explain import problems_of
from .model import Configuration
from .problems import ConfigurationInvalid, Path, Problem, Severity
from .secrets import Purpose, Secrets, resolve
from .source import Source, parse


@dataclass(frozen=True, slots=True)
class Loaded:
    """A usable configuration.

    Attributes:
        config: what the file says.
        secrets: the secrets asked for.
        warnings: what is allowed but probably not meant.
    """

    config: Configuration
    secrets: Secrets
    warnings: tuple[Problem, ...] = ()


def load(
    path: str | os.PathLike[str],
    purposes: frozenset[Purpose] = frozenset(),
    environment: Mapping[str, str] = os.environ,
) -> Loaded:
    """Read and check a file, and the secrets needed for these purposes.

    Raises:
        ConfigurationInvalid: with every problem found, not only the first.
    """
    try:
        text = FilePath(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        where = error.object.count(b"\n", 0, error.start) + 1
        what = f"cannot be read: byte {error.object[error.start]:#04x} is not UTF-8."
        raise ConfigurationInvalid(str(path), [Problem((), what, "save the file as UTF-8.", where)]) from error
    except OSError as error:
        reason = error.strerror
        fix = "name the file with --config PATH or COMMLAYER_CONFIG; examples/commlayer.yaml is one to start from."
        raise ConfigurationInvalid(str(path), [Problem((), f"cannot be read: {reason}.", fix)]) from error
    return loads(text, str(path), purposes, environment)


def loads(
    text: str, name: str, purposes: frozenset[Purpose] = frozenset(), environment: Mapping[str, str] = os.environ
) -> Loaded:
    """`load` for text that is already here.

    Raises:
        ConfigurationInvalid: with every problem found.
    """
    source = parse(text, name)
    told = {problem.path for problem in source.problems}
    shape: list[Problem] = []
    config: Configuration | None = None
    try:
        config = Configuration.model_validate(source.data)
    except ValidationError as error:
        shape = problems_of(error)
    rest, judged = draft(source.data, {problem.path for problem in shape})
    secrets, missing = resolve(rest if config is None else config, purposes, environment)
    further = [each for each in (*check(rest), *missing) if not _lies_in(each.path, judged)]
    shape = [problem for problem in shape if problem.path not in told]
    found = [*source.problems, *shape, *further]
    found = [problem if problem.line is not None else _placed(problem, source) for problem in found]
    if config is None or any(problem.severity is Severity.ERROR for problem in found):
        raise ConfigurationInvalid(name, found)
    return Loaded(config, secrets, tuple(found))


def _lies_in(path: Path, places: set[Path]) -> bool:
    return any(path[:length] in places for length in range(1, len(path) + 1))


def _placed(problem: Problem, source: Source) -> Problem:
    return dataclasses.replace(problem, line=source.line_of(problem.path))
