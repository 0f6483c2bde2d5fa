"""What brokers take and aiokafka alone does not read."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from aiokafka.consumer.fetcher import PartitionRecords
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.batches import Batches, read_patiently
from tests.support.raw_batches import batch, record

_CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def unpacked(records: Any, *, start: int = 0) -> Iterator[Any]:
    """Records as a consumer gets them."""
    return iter(PartitionRecords(TopicPartition("t", 0), records, [], start, None, None, True, 1))


def read(data: bytes, *, start: int = 0) -> list[tuple[int, bytes | None, bytes | None, Sequence[Any]]]:
    return [(one.offset, one.key, one.value, tuple(one.headers)) for one in unpacked(Batches(data), start=start)]


def test_a_header_name_that_is_not_utf_8_is_read_as_well_as_can_be() -> None:
    odd = record(b"two", headers=[(b"caf\xe9", b"x")], offset_delta=1)
    data = batch(record(b"one"), odd, record(b"3", offset_delta=2))
    with pytest.raises(UnicodeDecodeError):
        list(unpacked(MemoryRecords(data)))
    assert read(data) == [(0, None, b"one", ()), (1, None, b"two", (("caf�", b"x"),)), (2, None, b"3", ())]


@pytest.mark.parametrize("attributes", [0x7F, 0x80, 0x81, 0xFF])
def test_attributes_of_any_byte_are_passed_over(attributes: int) -> None:
    data = batch(record(b"one", key=b"key", attributes=attributes), base_offset=7)
    data += batch(record(b"two", key=b"key"), base_offset=8)
    assert read(data, start=7) == [(7, b"key", b"one", ()), (8, b"key", b"two", ())]


def test_one_that_goes_wrong_in_the_middle_repeats_nothing() -> None:
    odd = [record(b"v%d" % n, key=b"k", attributes=0x80 if n == 3 else 0, offset_delta=n) for n in range(6)]
    data = batch(*odd, base_offset=100)
    assert [offset for offset, *_ in read(data, start=100)] == [*range(100, 106)]
    assert [offset for offset, *_ in read(data, start=104)] == [104, 105]


@pytest.mark.parametrize("codec", _CODECS)
def test_whatever_compression_an_application_chose_is_read(codec: str) -> None:
    builder = DefaultRecordBatchBuilder(2, _CODECS[codec], 0, -1, -1, -1, 1_000_000)
    for number in range(100):
        assert builder.append(number, 1_700_000_000_000, b"key", b"value" * 50, []) is not None
    data = bytes(builder.build())
    assert read(data) == [(number, b"key", b"value" * 50, ()) for number in range(100)]


def test_a_compressed_batch_is_read_patiently_too() -> None:
    plain = batch(record(b"one", headers=[(b"\xff", None)]), record(b"two", offset_delta=1))
    start = 61  # the header of a batch
    covered = bytearray(plain[21:start]) + gzip.compress(plain[start:])
    covered[1] |= _CODECS["gzip"]
    length = len(covered) + 9
    data = struct.pack(">qiibI", 0, length, -1, 2, calc_crc32c(bytes(covered))) + bytes(covered)
    assert read(data) == [(0, None, b"one", (("�", None),)), (1, None, b"two", ())]


def test_a_damaged_batch_is_still_an_error() -> None:
    data = bytearray(batch(record(b"one")))
    data[-2] ^= 0xFF
    with pytest.raises(Exception, match="CRC"):
        read(bytes(data))


def test_a_batch_that_ends_in_the_middle_of_a_fetch_is_left_for_the_next() -> None:
    data = batch(record(b"one")) + batch(record(b"two"), base_offset=1)
    assert read(data[:-5]) == [(0, None, b"one", ())]
    cut = Batches(data[:20])
    assert not cut.has_next()
    assert cut.size_in_bytes() == 20


def test_a_record_whose_attributes_hide_well_does_not_take_its_neighbours_place() -> None:
    # Read one byte further on, its key's length is its offset: that of the record behind it.
    data = batch(record(b"", key=b"\x00", attributes=0x80), record(b"neighbour", offset_delta=1))
    found = read(data)
    assert [offset for offset, *_ in found] == [0, 1]
    assert found[1] == (1, None, b"neighbour", ())


_BYTES = st.none() | st.binary(max_size=20)


_HEADERS = st.lists(st.tuples(st.binary(max_size=8), _BYTES), max_size=3)


@given(st.lists(st.tuples(_BYTES, _BYTES, _HEADERS, st.integers(0, 255)), min_size=1))
def test_whatever_a_producer_writes_is_read_as_it_was_written(written: list[Any]) -> None:
    records = [
        record(value, key=key, headers=headers, attributes=attributes, offset_delta=number)
        for number, (key, value, headers, attributes) in enumerate(written)
    ]
    found = read(batch(*records))
    assert [offset for offset, *_ in found] == [*range(len(records))]
    for (_, *contents), (key, value, headers, attributes) in zip(found, written, strict=True):
        # Attributes that hide well shift fields of their own record, and of no other.
        if attributes < 0x80:
            names = tuple((name.decode(errors="replace"), content) for name, content in headers)
            assert contents == [key, value, names]


def test_consumers_read_so() -> None:
    read_patiently()
    from aiokafka.consumer import fetcher

    assert fetcher.MemoryRecords is Batches
