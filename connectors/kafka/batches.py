"""Batches of records as the broker took them.

A broker checks lengths and checksums of what an application writes, and no more: a record's attributes may be any byte,
the name of a header any bytes. aiokafka raises at a name that is not UTF-8, and reads attributes from 128 on as the
first half of a longer number, so that all that follows moves. Either way one record would end every worker that reads
its partition, again and again. Here such a batch is read a second time, patiently.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterator
from itertools import islice
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.record.default_records import DefaultRecord
from aiokafka.record.default_records import _DefaultRecordBatchPy as PatientBatch
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import decode_varint

_LENGTH = struct.Struct(">i")
_LENGTH_AT, _LENGTH_END, _MAGIC_AT, _COUNT_AT = 8, 12, 16, 57
_MAGIC = 2
"""Format of batches since Kafka 0.11; Kafka 4 writes no other."""


def read_patiently() -> None:
    """Have every aiokafka consumer of this process read by `Batches`. There is no other way in."""
    fetcher.MemoryRecords = Batches


class Batches:
    """What one fetch brought of one partition. Takes the place of aiokafka's `MemoryRecords`."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._quick = MemoryRecords(data)
        self._at = 0

    def size_in_bytes(self) -> int:
        """Of all, a last one that is cut off included."""
        return int(self._quick.size_in_bytes())

    def has_next(self) -> bool:
        """Whether a whole batch is left."""
        return bool(self._quick.has_next())

    def next_batch(self) -> Any:
        """The next one."""
        batch = self._quick.next_batch()
        start = self._at
        self._at += _LENGTH_END + _LENGTH.unpack_from(self._data, start + _LENGTH_AT)[0]
        if self._data[start + _MAGIC_AT] != _MAGIC or batch.is_control_batch:
            return batch
        return Batch(batch, self._data[start : self._at])


class Batch:
    """One batch: aiokafka's own for as long as that makes sense, from then on a patient reading of the same bytes."""

    def __init__(self, quick: Any, data: bytes) -> None:
        self._quick = quick
        self._data = data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._quick, name)

    def __iter__(self) -> Iterator[Any]:
        read, least, end = 0, self._quick.base_offset, self._quick.next_offset
        # As a producer wrote it, without the gaps of a compaction: a record that moved must not take its neighbour's
        # place, which would then be passed over as read.
        dense = _LENGTH.unpack_from(self._data, _COUNT_AT)[0] == end - least
        # aiokafka raises many kinds; where the batch is really damaged, the second reading raises again.
        with contextlib.suppress(Exception):
            for record in self._quick:
                if not least <= record.offset < (least + 1 if dense else end):
                    break
                yield record
                read, least = read + 1, record.offset + 1
            else:
                return
        yield from islice(_patiently(self._data), read, None)


def _patiently(data: bytes) -> Iterator[Any]:
    """The records of a batch. Raises what aiokafka raises where its bytes cannot be decompressed, and IndexError or
    ValueError where they end too early."""
    batch = iter(PatientBatch(data))
    buffer, at = batch._buffer, batch._pos
    by_log = batch.timestamp_type == batch.LOG_APPEND_TIME

    def number() -> int:
        nonlocal at
        found, at = decode_varint(buffer, at)
        return int(found)

    def content() -> bytes | None:
        nonlocal at
        size = number()
        if size < 0:
            return None
        at += size
        return bytes(buffer[at - size : at])

    for _ in range(batch._num_records):
        size = number()
        end = at + size
        at += 1  # attributes, of which Kafka uses none
        later_ms, offset_delta = number(), number()
        timestamp = batch.max_timestamp if by_log else batch.first_timestamp + later_ms
        key, value = content(), content()
        headers = [((content() or b"").decode(errors="replace"), content()) for _ in range(number())]
        yield DefaultRecord(batch.base_offset + offset_delta, timestamp, batch.timestamp_type, key, value, headers)
        at = end
