"""What every typed record can do: become the plain dict that fastavro writes, and come back from one."""

from __future__ import annotations

import dataclasses
import sys
import types
import typing
from collections.abc import Callable
from enum import StrEnum
from typing import Any, ClassVar, Self


class Record:
    """Base of the typed records.

    A subclass is a slotted, keyword-only dataclass whose fields are those of its Avro schema, in order and by name.
    Enum fields hold `StrEnum` members, nested records hold records, timestamps are `int` epoch milliseconds UTC.
    """

    __slots__ = ()
    AVRO_NAME: ClassVar[str]

    def to_avro(self) -> dict[str, Any]:
        """The record as nested plain dicts and lists, ready for `fastavro.schemaless_writer`."""
        encoders = _plan(type(self)).encoders
        values = {name: getattr(self, name) for name in _plan(type(self)).names}
        for name, encode in encoders.items():
            if values[name] is not None:
                values[name] = encode(values[name])
        return values

    @classmethod
    def from_avro(cls, values: dict[str, Any]) -> Self:
        """Build the record from what `fastavro.schemaless_reader` returned with this record's schema as reader schema.

        Raises:
            TypeError: a required field is missing or an unknown one is present.
            ValueError: an enum symbol is unknown.
        """
        for name, decode in _plan(cls).decoders.items():
            value = values.get(name)
            if value is not None:
                values[name] = decode(value)
        return cls(**values)


class _Plan(typing.NamedTuple):
    names: tuple[str, ...]
    encoders: dict[str, Callable[[Any], Any]]
    decoders: dict[str, Callable[[Any], Any]]


_plans: dict[type, _Plan] = {}


def _plan(cls: type[Record]) -> _Plan:
    plan = _plans.get(cls)
    if plan is None:
        hints = typing.get_type_hints(cls, vars(sys.modules[cls.__module__]))
        names = tuple(field.name for field in dataclasses.fields(cls))  # type: ignore[arg-type]  # subclasses are dataclasses
        encoders: dict[str, Callable[[Any], Any]] = {}
        decoders: dict[str, Callable[[Any], Any]] = {}
        for name in names:
            encode, decode = _converters(hints[name])
            if encode is not None:
                encoders[name] = encode
            if decode is not None:
                decoders[name] = decode
        plan = _plans[cls] = _Plan(names, encoders, decoders)
    return plan


def _converters(hint: Any) -> tuple[Callable[[Any], Any] | None, Callable[[Any], Any] | None]:
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        [inner] = [argument for argument in typing.get_args(hint) if argument is not type(None)]
        return _converters(inner)
    if origin is list:
        encode, decode = _converters(typing.get_args(hint)[0])
        return (
            (lambda items: [encode(item) for item in items]) if encode else None,
            (lambda items: [decode(item) for item in items]) if decode else None,
        )
    if isinstance(hint, type) and issubclass(hint, Record):
        return hint.to_avro, hint.from_avro
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return None, hint
    return None, None
