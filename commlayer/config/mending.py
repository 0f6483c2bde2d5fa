"""Something well-formed in place of what is not, so that one wrong value does not hide what else is wrong."""

from __future__ import annotations

import copy
from collections.abc import Set
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from .explain import section_at
from .fields import SecretRef
from .problems import Path

_HELD_AGAINST = frozenset({"partition", "partitions"})
"""What other entries are held against: any number in its place would make them look wrong."""
_FREE_CHOICES = frozenset({"doubt", "intent", "mechanism"})
"""Choices on which nothing else depends."""
_STAND_INS = {int: 1, float: 1.0, bool: False, SecretRef: {"env": "NOT_READ"}}


def mended(value: Any, malformed: Set[Path], at: Path) -> Any:
    """The section or entry without keys that nobody expects, and with numbers, switches and secrets in the place of
    malformed ones; None where more is malformed: whatever stood there would look wrong to somebody.

    Args:
        malformed: paths inside it.
        at: its own path.
    """
    rest = copy.deepcopy(value)
    for path in malformed:
        expected = section_at((*at, *path))
        if expected is None:
            _take_away(rest, path)
        elif path and not _HELD_AGAINST & set(path) and _holds(rest, path):
            stand_in = _stand_in(expected, path[-1])
            if stand_in is None:
                return None
            _within(rest, path[:-1])[path[-1]] = stand_in
        else:
            return None
    try:
        return TypeAdapter[Any](section_at(at)).validate_python(rest)
    except ValidationError:
        return None


def _stand_in(expected: Any, name: str | int) -> Any:
    if name in _FREE_CHOICES and isinstance(expected, type) and issubclass(expected, Enum):
        return next(iter(expected)).value
    if name in _FREE_CHOICES and get_origin(expected) is Literal:
        return get_args(expected)[0]
    return _STAND_INS.get(expected)


def _take_away(data: Any, path: Path) -> None:
    if _holds(data, path):
        _within(data, path[:-1]).pop(path[-1])


def _holds(data: Any, path: Path) -> bool:
    section = _within(data, path[:-1])
    return isinstance(section, dict) and path[-1] in section


def _within(data: Any, path: Path) -> Any:
    for part in path:
        data = data[part]
    return data
