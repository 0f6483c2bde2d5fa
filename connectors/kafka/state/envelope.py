"""How a record of a state topic says who wrote it and from what: by headers, the value is the caller's own.

A deletion is a record without value, so nothing but headers can carry its epoch (docs/decisions).
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from connectors.values import value

RESERVED = b"\0"
"""Keys that begin so are not the caller's."""
CLAIM_KEY = RESERVED + b"claim"
MARK_KEY = RESERVED + b"sources"
"""A record that carries source positions and nothing else: a deletion may not, compaction removes it in the end."""

_EPOCH = "epoch"
_SOURCE = "source"
_EPOCH_FORMAT = struct.Struct(">q")
_SOURCE_FORMAT = struct.Struct(">iq")  # partition, offset; the topic's name follows

Header = tuple[str, bytes]


class Source(NamedTuple):
    """A partition of a source topic."""

    topic: str
    partition: int


class BadEnvelope(ValueError):
    """The headers or the key are none of ours. The text says which and why, without the value."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A new owner took the partition; the offset of this record is its epoch."""


@value
class Write:
    """A value for a key.

    Attributes:
        epoch: the writer's, the offset of its CLAIM.
        key: of the entry.
        value: None deletes.
        sources: source positions that hold once this record is folded.
    """

    epoch: int
    key: bytes
    value: bytes | None
    sources: tuple[tuple[Source, int], ...] = ()


def headers_of(epoch: int, sources: Sequence[tuple[Source, int]]) -> list[Header]:
    """The headers of a write."""
    headers = [(_EPOCH, _EPOCH_FORMAT.pack(epoch))]
    headers += [
        (_SOURCE, _SOURCE_FORMAT.pack(source.partition, offset) + source.topic.encode()) for source, offset in sources
    ]
    return headers


def opened(key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]] | None) -> Claim | Write:
    """What a record of a state topic says.

    Raises:
        BadEnvelope: nothing that this package wrote.
    """
    if key == CLAIM_KEY:
        return Claim()
    if not key:
        raise BadEnvelope("the record has no key")
    if key.startswith(RESERVED) and key != MARK_KEY:
        raise BadEnvelope("the key begins with a zero byte, and is neither a claim nor a mark")
    epoch, sources = None, []
    for name, data in headers or ():
        if name == _EPOCH:
            if data is None or len(data) != _EPOCH_FORMAT.size:
                raise BadEnvelope(f"header {_EPOCH!r} is not {_EPOCH_FORMAT.size} bytes long")
            (epoch,) = _EPOCH_FORMAT.unpack(data)
        elif name == _SOURCE:
            sources.append(_source(data))
    if epoch is None:
        raise BadEnvelope(f"header {_EPOCH!r} is missing")
    return Write(epoch, key, value, tuple(sources))


def _source(data: bytes | None) -> tuple[Source, int]:
    if data is None or len(data) <= _SOURCE_FORMAT.size:
        raise BadEnvelope(f"header {_SOURCE!r} is too short")
    partition, offset = _SOURCE_FORMAT.unpack_from(data)
    try:
        topic = data[_SOURCE_FORMAT.size :].decode()
    except UnicodeDecodeError:
        raise BadEnvelope(f"header {_SOURCE!r} names no topic") from None
    return Source(topic, partition), offset
