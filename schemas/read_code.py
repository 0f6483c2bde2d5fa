"""Python code that reads the records of one schema, made once per schema.

It goes straight from bytes to the typed record, which takes a third of the time of fastavro's dict and the record made
of it. It reads what a writer in its right mind writes, and raises for all else, right or wrong: whoever calls it then
lets fastavro judge. (A test compares the two for every record and for garbage.)
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import Any

from .loading import Schema
from .records import RECORDS
from .shapes import Shape, shape_of

Read = Callable[[bytes, int], tuple[Any, int]]
"""Given bytes and where the record begins in them: the record, and where it ends, which may lie behind the end of the
bytes. Raises some Exception or other where it is not sure."""
_FEW = 3
"""So many fields in a row that are mostly null or empty are looked at together."""


@cache
def compile_reader(schema: Schema) -> Read:
    """The code for records that were written with one of our schemas.

    Raises:
        NotImplementedError: the schema holds a type that none of ours has.
    """
    return _record(shape_of(schema.parsed, RECORDS[schema.name]))


class Unsure(Exception):
    """This may be a record or not."""


def _record(shape: Shape) -> Read:
    if hasattr(shape.python, "__post_init__"):
        raise NotImplementedError(f"{shape.python.__name__} has a __post_init__, which the code would pass over")
    names: dict[str, Any] = {
        "__builtins__": {},
        "blank": object.__new__,
        "record_type": shape.python,
        "SIGNED": _SIGNED,
        "varint": _varint,
        "Unsure": Unsure,
    }
    lines = ["def read(data, at):", " record = blank(record_type)"]
    row: list[int] = []
    for number, (_, field) in enumerate(shape.fields):
        names[f"read{number}"] = _symbols(field) if field.kind == "enum" else _value(field)
        if field.optional or field.kind in ("array", "map", "boolean"):
            row.append(number)
            continue
        lines += _row(shape, row, " ")
        row = []
        lines += _field(shape, number, " ")
    lines += _row(shape, row, " ")
    lines.append(" return record, at")
    exec("\n".join(lines), names)
    read: Read = names["read"]
    return read


def _row(shape: Shape, row: list[int], indent: str) -> list[str]:
    """Fields in a row that a zero byte each stands for when they are null, empty or false: all at once, or each half
    of them."""
    if len(row) < _FEW:
        return [line for number in row for line in _field(shape, number, indent)]
    half = len(row) // 2
    return [
        f"{indent}if data.startswith({bytes(len(row))!r}, at):",
        f"{indent} at += {len(row)}",
        *(f"{indent} record.{shape.fields[number][0]} = {_zero(shape.fields[number][1])}" for number in row),
        f"{indent}else:",
        *_row(shape, row[:half], indent + " "),
        *_row(shape, row[half:], indent + " "),
    ]


def _zero(field: Shape) -> str:
    if field.optional:
        return "None"
    return {"array": "[]", "map": "{}", "boolean": "False"}[field.kind]


def _field(shape: Shape, number: int, indent: str) -> list[str]:
    name, field = shape.fields[number]
    if not field.optional:
        return [indent + line for line in _plain(name, field, f"read{number}")]
    return [
        f"{indent}n = data[at]",
        f"{indent}if n == 0:",
        f"{indent} record.{name} = None",
        f"{indent} at += 1",
        f"{indent}elif n == 2:",
        f"{indent} at += 1",
        *(f"{indent} {line}" for line in _plain(name, field, f"read{number}")),
        f"{indent}else: raise Unsure",
    ]


def _plain(name: str, field: Shape, read: str) -> list[str]:
    """Source that reads a value that is there; `read` names what reads it."""
    match field.kind:
        case "string":
            return [
                "n = data[at]",
                "if n < 128 and not n & 1: at += 1; end = at + (n >> 1)",
                "else:",
                " n, at = varint(data, at)",
                " if n < 0: raise Unsure",
                " end = at + n",
                f"record.{name} = data[at:end].decode()",
                "at = end",
            ]
        case "int" | "long":
            return [
                "n = data[at]",
                f"if n < 128: record.{name} = SIGNED[n]; at += 1",
                f"else: record.{name}, at = {read}(data, at)",
            ]
        case "enum":
            return [f"record.{name} = {read}[data[at]]", "at += 1"]
        case _:
            return [f"record.{name}, at = {read}(data, at)"]


def _value(shape: Shape) -> Read:
    match shape.kind:
        case "record":
            return _record(shape)
        case "enum":
            return _symbol(_symbols(shape))
        case "array":
            assert shape.inner is not None
            return _array(_value(shape.inner))
        case "map":
            assert shape.inner is not None
            return _map(_value(shape.inner))
        case kind:
            return _PRIMITIVE[kind]


def _symbols(shape: Shape) -> dict[int, Any]:
    """Members by the one byte that stands for them."""
    if len(shape.symbols) > 64:
        raise NotImplementedError("an enum of more symbols than one byte can tell apart")
    return {2 * index: shape.python(symbol) for index, symbol in enumerate(shape.symbols)}


def _symbol(symbols: dict[int, Any]) -> Read:
    return lambda data, at: (symbols[data[at]], at + 1)


def _array(read: Read) -> Read:
    def run(data: bytes, at: int) -> tuple[list[Any], int]:
        items: list[Any] = []
        while True:
            count, at = _varint(data, at)
            if not count:
                return items, at
            if count < 0:
                raise Unsure
            for _ in range(count):
                item, at = read(data, at)
                items.append(item)

    return run


def _map(read: Read) -> Read:
    def run(data: bytes, at: int) -> tuple[dict[str, Any], int]:
        items: dict[str, Any] = {}
        while True:
            count, at = _varint(data, at)
            if not count:
                return items, at
            if count < 0:
                raise Unsure
            for _ in range(count):
                key, at = _text(data, at)
                items[key], at = read(data, at)

    return run


_SIGNED = [n >> 1 if n % 2 == 0 else -(n >> 1) - 1 for n in range(128)]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    n = data[at]
    if n < 128:
        return _SIGNED[n], at + 1
    at += 1
    number, shift = n & 127, 7
    while (n := data[at]) > 127:
        number |= (n & 127) << shift
        shift += 7
        at += 1
        if shift > 56:  # what does not fit 63 bits is for fastavro
            raise Unsure
    number |= n << shift
    return (number >> 1) ^ -(number & 1), at + 1


def _int(data: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(data, at)
    if not -(2**31) <= number < 2**31:
        raise Unsure
    return number, at


def _stretch(data: bytes, at: int) -> tuple[bytes, int]:
    size, at = _varint(data, at)
    end = at + size
    if size < 0:
        raise Unsure
    return data[at:end], end


def _text(data: bytes, at: int) -> tuple[str, int]:
    text, at = _stretch(data, at)
    return text.decode(), at


def _double(data: bytes, at: int) -> tuple[float, int]:
    return _unpack_double(data, at)[0], at + 8


def _boolean(data: bytes, at: int) -> tuple[bool, int]:
    return _BOOLEANS[data[at]], at + 1


_BOOLEANS = {0: False, 1: True}
_unpack_double = struct.Struct("<d").unpack_from

_PRIMITIVE: dict[str, Read] = {
    "string": _text,
    "bytes": _stretch,
    "int": _int,
    "long": _varint,
    "double": _double,
    "boolean": _boolean,
}
