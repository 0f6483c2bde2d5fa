"""Python code that writes the records of one schema, made once per schema.

fastavro's writer takes nested dicts and tries the branches of each union on each value; with forty fields, most of them
null, that is most of its time. Here a record becomes bytes in one expression, one element per field: the same bytes (a
test compares them for every record). The code is also strict where fastavro is not: 1.5 is no `int`, "abc" no array.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache
from typing import Any

from .loading import Schema
from .records import RECORDS
from .shapes import Shape, shape_of

Write = Callable[[Any, bytes], bytes]
"""Given a record and what its bytes begin with. Raises some Exception or other where a value does not fit, whose text
may quote the value."""
_Value = Callable[[Any], bytes]


@cache
def compile_writer(schema: Schema) -> Write:
    """The code for one of our schemas.

    Raises:
        NotImplementedError: the schema holds a type that none of ours has.
    """
    write: Write = _fields(shape_of(schema.parsed, RECORDS[schema.name]))
    return write


def _varint(number: int) -> bytes:
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    digits.append(number)
    return bytes(digits)


_LAST = [_varint(number) for number in range(1 << 14)]
_MORE = [bytes((number & 127 | 128, number >> 7 | 128)) for number in range(1 << 14)]
"""The last fourteen bits of a number, and fourteen bits that others follow. A moment in milliseconds is two of these
and one of those, which takes a quarter of the time of its six bytes one by one; a record has five moments."""
_LAST_BITS, _LAST_BITS_OF_TWO, _LAST_BITS_OF_THREE = 1 << 14, 1 << 28, 1 << 42
_NUMBERS = _LAST[::2]
"""Small numbers, as lengths of most texts are. (Zigzag doubles what is not negative.)"""
_KNOWN = len(_NUMBERS)
_SOME_NUMBERS = [b"\x02" + number for number in _NUMBERS]
_NULL, _SOME = b"\x00", b"\x02"
"""Index of the branch of a union of null and another type."""
_END = b"\x00"
"""Of an array or map: a block of no items."""


class _Kept(dict[Any, bytes]):
    """Bytes by what they are of, as far as they were asked for of late: finding them takes a tenth of the time that
    making them takes."""

    def __init__(self, make: Callable[[Any], bytes]) -> None:
        self._make = make

    def __missing__(self, key: Any) -> bytes:
        data = self._make(key)
        if len(self) >= _KEPT:
            self.clear()
        self[key] = data
        return data


_KEPT = 1000
_ONE_OF_FEW = frozenset(
    {
        "account",
        "app",
        "campaign",
        "category",
        "channel",
        "doubt_policy",
        "encoding",
        "group",
        "lane",
        "locale",
        "message_class",
        "message_intent",
        "messaging_service_sid",
        "outcome",
        "reason",
        "rule",
        "rule_version",
        "sender",
        "source_topic",
        "stage",
        "status",
        "topic",
    }
)
"""Texts and symbols of which an installation has few at a time, whatever the record: those that follow each other are
written as one. A field that is not named here is written each time, which is slower and never wrong; so is one that
takes many values in spite of this."""


def _fields(shape: Shape) -> Any:
    names: dict[str, Any] = {
        "__builtins__": {},
        "join": b"".join,
        "type": type,
        "int": int,
        "list": list,
        "dict": dict,
        "len": len,
        "utf8": str.encode,
        "KNOWN": _KNOWN,
        "NUMBERS": _NUMBERS,
        "SOME_NUMBERS": _SOME_NUMBERS,
        "END": _END,
        "NULL": _NULL,
        "SOME": _SOME,
        "long": _long,
        "LONGS": _LONGS,
        "some_text": _some_text,
    }
    elements: list[str] = []
    few: list[tuple[int, str, Shape]] = []
    for number, (name, field) in enumerate(shape.fields):
        names[f"write{number}"] = _symbols(field) if field.kind == "enum" else _value(field)
        if name in _ONE_OF_FEW and field.kind in ("string", "enum"):
            few.append((number, name, field))
            continue
        elements += _one_of_few(few, names)
        few = []
        elements.append(_element(f"record.{name}", f"write{number}", field))
    elements += _one_of_few(few, names)
    return eval(f"lambda record, prefix=b'': join((prefix, {', '.join(elements)}))", names)


def _one_of_few(fields: list[tuple[int, str, Shape]], names: dict[str, Any]) -> list[str]:
    """Source of what fields in a row add to the bytes, as one element; none where there are none."""
    if not fields:
        return []
    parts = [_element(f"values[{place}]", f"write{number}", field) for place, (number, _, field) in enumerate(fields)]
    kept = f"kept{fields[0][0]}"
    names[kept] = _Kept(eval(f"lambda values: join(({', '.join(parts)},))", names))
    return [f"{kept}[{''.join(f'record.{name}, ' for _, name, _ in fields)}]"]


def _element(value: str, write: str, field: Shape) -> str:
    """Source of what a field adds to the bytes; `write` names what writes its values."""
    match field:
        case Shape(kind="enum"):
            return f"{write}[{value}]"
        case Shape(kind="string", optional=True):
            return f"NULL if (v := {value}) is None else some_text(v)"
        case Shape(kind="string"):
            return f"NUMBERS[n] if (n := len(s := utf8({value}))) < KNOWN else long(n), s"
        case Shape(kind="int" | "long", optional=True):
            small = "SOME_NUMBERS[v] if type(v) is int and 0 <= v < KNOWN"
            return f"NULL if (v := {value}) is None else {small} else SOME + ({_large(write, field)})"
        case Shape(kind="int" | "long"):
            return f"NUMBERS[v] if type(v := {value}) is int and 0 <= v < KNOWN else {_large(write, field)}"
        case Shape(optional=True):
            return f"NULL if (v := {value}) is None else SOME + {write}(v)"
        case Shape(kind="array"):
            return f"END if type(v := {value}) is list and not v else {write}(v)"
        case Shape(kind="map"):
            return f"END if type(v := {value}) is dict and not v else {write}(v)"
        case _:
            return f"{write}({value})"


def _large(write: str, field: Shape) -> str:
    """Source of what a number that is not small adds: as a rule it is the moment of a decision, which stands in several
    records and in those of other messages of the same millisecond."""
    return f"LONGS[v] if type(v) is int else {write}(v)" if field.kind == "long" else f"{write}(v)"


def _value(shape: Shape) -> _Value:
    match shape.kind:
        case "record":
            return _only(shape.python, _fields(shape))
        case "enum":
            return _symbols(shape).__getitem__
        case "array":
            assert shape.inner is not None
            return _array(_value(shape.inner))
        case "map":
            assert shape.inner is not None
            return _text_map if shape.inner.kind == "string" else _map(_value(shape.inner))
        case kind:
            return _PRIMITIVE[kind]


def _symbols(shape: Shape) -> dict[Any, bytes]:
    # Members as keys and not their texts: equal in a look-up, and found by identity.
    start = _SOME if shape.optional else b""
    symbols = {shape.python(symbol): start + _varint(2 * index) for index, symbol in enumerate(shape.symbols)}
    return {None: _NULL, **symbols} if shape.optional else symbols


def _only(cls: type, write: _Value) -> _Value:
    def run(value: Any) -> bytes:
        if type(value) is not cls:
            raise TypeError
        return write(value)

    return run


def _array(write: _Value) -> _Value:
    def run(items: Any) -> bytes:
        if not isinstance(items, list | tuple):
            raise TypeError
        if not items:
            return _END
        return b"".join([_long(len(items)), *map(write, items), _END])

    return run


def _map(write: _Value) -> _Value:
    def run(items: Any) -> bytes:
        if not isinstance(items, dict):
            raise TypeError
        if not items:
            return _END
        return b"".join([_long(len(items)), *[_text(key) + write(value) for key, value in items.items()], _END])

    return run


def _text_map(items: Any) -> bytes:
    """A map of texts, as all of ours are."""
    if not isinstance(items, dict):
        raise TypeError
    if not items:
        return _END
    parts = [_long(len(items))]
    for pair in items.items():
        for value in pair:
            text = str.encode(value)
            size = len(text)
            parts += (_NUMBERS[size] if size < _KNOWN else _long(size), text)
    parts.append(_END)
    return b"".join(parts)


def _text(value: Any) -> bytes:
    text = str.encode(value)
    size = len(text)
    return (_NUMBERS[size] if size < _KNOWN else _long(size)) + text


def _some_text(value: Any) -> bytes:
    text = str.encode(value)
    size = len(text)
    return (_SOME_NUMBERS[size] if size < _KNOWN else _SOME + _long(size)) + text


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes | bytearray):
        raise TypeError
    return _long(len(value)) + value


def _long(value: Any) -> bytes:
    if type(value) is not int:
        raise TypeError
    zigzag = value << 1 if value >= 0 else ~(value << 1)
    if zigzag < _LAST_BITS:
        return _LAST[zigzag]
    if zigzag < _LAST_BITS_OF_TWO:
        return _MORE[zigzag & 0x3FFF] + _LAST[zigzag >> 14]
    if zigzag < _LAST_BITS_OF_THREE:
        return _MORE[zigzag & 0x3FFF] + _MORE[zigzag >> 14 & 0x3FFF] + _LAST[zigzag >> 28]
    if zigzag >> 64:
        raise OverflowError
    return _varint(zigzag)


_LONGS = _Kept(_long)


def _int(value: Any) -> bytes:
    if type(value) is not int or not -(2**31) <= value < 2**31:
        raise TypeError
    return _long(value)


def _double(value: Any) -> bytes:
    if type(value) is not float and (type(value) is not int or not -(2**63) <= value < 2**63):
        raise TypeError
    return _pack_double(value)


def _boolean(value: Any) -> bytes:
    if value is True:
        return b"\x01"
    if value is False:
        return b"\x00"
    raise TypeError


_pack_double = struct.Struct("<d").pack

_PRIMITIVE: dict[str, _Value] = {
    "string": _text,
    "bytes": _bytes,
    "int": _int,
    "long": _long,
    "double": _double,
    "boolean": _boolean,
}
