"""What a typed record and its schema say together, as the code makers (write_code, read_code) need it."""

from __future__ import annotations

import sys
import types
import typing
from dataclasses import dataclass
from typing import Any

from .fitting import named_types, resolve
from .records import Record


@dataclass(frozen=True, slots=True)
class Shape:
    """One type.

    Attributes:
        kind: string, bytes, int, long, double, boolean, enum, array, map or record.
        optional: null is allowed, as first branch of a union.
        python: the enum or the typed record.
        symbols: of an enum, in the schema's order.
        inner: type of the items or values.
        fields: of a record, by name, in order.
    """

    kind: str
    optional: bool = False
    python: Any = None
    symbols: tuple[str, ...] = ()
    inner: Shape | None = None
    fields: tuple[tuple[str, Shape], ...] = ()


def shape_of(parsed: Any, record: type[Record]) -> Shape:
    """The shape of a record, of one schema and its typed record.

    Raises:
        NotImplementedError: the schema holds a type that none of ours has (a union of several types, fixed, float).
    """
    return _shape(parsed, record, named_types(parsed))


def _shape(node: Any, hint: Any, known: dict[str, Any]) -> Shape:
    node = resolve(node, known)
    if isinstance(node, list):
        if len(node) != 2 or node[0] != "null":
            raise NotImplementedError(f"a union of {node}")
        [inner_hint] = [each for each in typing.get_args(hint) if each is not types.NoneType]
        inner = _shape(node[1], inner_hint, known)
        return Shape(inner.kind, True, inner.python, inner.symbols, inner.inner, inner.fields)
    if isinstance(node, str):
        if node not in ("string", "bytes", "int", "long", "double", "boolean"):
            raise NotImplementedError(f"the type {node}")
        return Shape(node)
    match node["type"]:
        case "enum":
            return Shape("enum", python=hint, symbols=tuple(node["symbols"]))
        case "array":
            return Shape("array", inner=_shape(node["items"], typing.get_args(hint)[0], known))
        case "map":
            return Shape("map", inner=_shape(node["values"], typing.get_args(hint)[1], known))
        case "record":
            hints = typing.get_type_hints(hint, vars(sys.modules[hint.__module__]))
            fields = tuple((each["name"], _shape(each["type"], hints[each["name"]], known)) for each in node["fields"])
            return Shape("record", python=hint, fields=fields)
        case kind:
            raise NotImplementedError(f"the type {kind}")
