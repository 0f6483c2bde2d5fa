"""The code made for each schema writes and reads exactly as fastavro does, or leaves it to fastavro."""

from __future__ import annotations

import dataclasses
from io import BytesIO
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.loading import current, schema
from schemas.read_code import compile_reader
from schemas.records import RECORDS, Content, MessageRequest, Record
from schemas.write_code import _KEPT, compile_writer
from tests.support.records import any_record, records


def _written(record: Record) -> bytes:
    return compile_writer(current()[record.AVRO_NAME])(record, b"")


def _written_by_fastavro(record: Record) -> bytes:
    out = BytesIO()
    fastavro.schemaless_writer(out, current()[record.AVRO_NAME].parsed, record.to_avro())
    return out.getvalue()


def _read(record: type[Record], data: bytes) -> Any:
    """What the code makes of the bytes; None where it leaves them to fastavro."""
    try:
        found, end = compile_reader(current()[record.AVRO_NAME])(data, 0)
    except Exception:
        return None
    return found if end == len(data) else None


def _read_by_fastavro(record: type[Record], data: bytes) -> Any:
    stream = BytesIO(data)
    values: Any = fastavro.schemaless_reader(stream, current()[record.AVRO_NAME].parsed, None)
    assert stream.tell() == len(data)
    return record.from_avro(values)


def _same(one: Record, other: Record) -> bool:
    # NaN is not equal to itself; and True is equal to 1, which it is not.
    return repr(one) == repr(other)


@pytest.mark.parametrize("name", sorted(RECORDS))
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_every_record_is_written_byte_by_byte_as_fastavro_writes_it(name: str, data: st.DataObject) -> None:
    record = data.draw(records(RECORDS[name]))
    assert _written(record) == _written_by_fastavro(record)


@pytest.mark.parametrize("name", sorted(RECORDS))
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_every_record_that_fastavro_wrote_is_read_by_the_code_itself(name: str, data: st.DataObject) -> None:
    record = data.draw(records(RECORDS[name]))
    found = _read(RECORDS[name], _written_by_fastavro(record))
    if found is None:  # it leaves numbers of more than 62 bits to fastavro
        assert any(abs(value) >= 2**61 for value in _numbers(record))
    else:
        assert type(found) is RECORDS[name]
        assert _same(found, record)


def _numbers(value: Any) -> list[int]:
    if dataclasses.is_dataclass(value):
        return [number for field in dataclasses.fields(value) for number in _numbers(getattr(value, field.name))]
    if isinstance(value, dict):
        return [number for item in value.values() for number in _numbers(item)]
    return [value] if type(value) is int else []


@given(name=st.sampled_from(sorted(RECORDS)), data=st.binary(max_size=120))
@settings(max_examples=600, deadline=None)
def test_garbage_that_the_code_reads_is_what_fastavro_reads(name: str, data: bytes) -> None:
    found = _read(RECORDS[name], data)
    assert found is None or _same(found, _read_by_fastavro(RECORDS[name], data))


@given(
    record=any_record(),
    damage=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(0, 3),
)
@settings(max_examples=1000, deadline=None)
def test_damage_that_the_code_reads_over_is_what_fastavro_reads(
    record: Record, damage: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(_written(record))
    for position, value in damage:
        data[position % len(data)] = value
    given_bytes = bytes(data[: len(data) - cut])
    found = _read(type(record), given_bytes)
    assert found is None or _same(found, _read_by_fastavro(type(record), given_bytes))


_SHORT = MessageRequest(recipient="+1", category="otp", content=Content(body="x"), created_at=1_763_900_000_000)


@pytest.mark.parametrize(
    "number",
    [
        number
        for border in (0, 1, 63, 2**13, 2**20, 2**27, 2**34, 2**41, 2**60, 2**63 - 1)
        for number in (border - 1, border, -border, ~border)
    ],
)
def test_numbers_at_the_borders_of_each_way_to_write_them(number: int) -> None:
    record = dataclasses.replace(_SHORT, created_at=number, deadline=number)
    assert _written(record) == _written_by_fastavro(record)


def test_a_field_of_few_values_may_take_any_number_of_them() -> None:
    for number in range(_KEPT + 10):
        record = dataclasses.replace(_SHORT, category=f"c{number}", sender=f"s{number % 7}", created_at=2**40 + number)
        assert _written(record) == _written_by_fastavro(record)
        assert _written(record) == _written_by_fastavro(record)


def test_what_stands_among_few_values_must_be_of_its_type_however_often_its_like_was_written() -> None:
    moment = 2**40
    _written(dataclasses.replace(_SHORT, created_at=moment))
    for wrong in ({"created_at": float(moment)}, {"category": None}, {"sender": 7}, {"channel": "nothing"}):
        for _ in range(2):
            with pytest.raises((TypeError, KeyError)):
                _written(dataclasses.replace(_SHORT, **wrong))


@pytest.mark.parametrize("varint", ["8000", "ff" * 8 + "7f", "ff" * 9 + "01", "ff" * 9 + "7f", "ff" * 12 + "01"])
def test_numbers_in_more_bytes_than_they_need_or_may_have_are_read_as_fastavro_does(varint: str) -> None:
    data = _written(dataclasses.replace(_SHORT, created_at=0))[:-1] + bytes.fromhex(varint)
    found = _read(MessageRequest, data)
    assert found is None or _same(found, _read_by_fastavro(MessageRequest, data))


@pytest.mark.parametrize("size", [0, 1, 63, 64, 2**13 - 1, 2**13, 70_000])
def test_texts_at_the_borders_of_each_way_to_write_their_length(size: int) -> None:
    record = dataclasses.replace(_SHORT, category="é" * size, locale="a" * size, tags={"k" * size: "v" * size})
    data = _written(record)
    assert data == _written_by_fastavro(record)
    assert _read(MessageRequest, data) == record


def test_two_records_share_nothing() -> None:
    data = _written(_SHORT)
    first, second = _read(MessageRequest, data), _read(MessageRequest, data)
    first.tags["a"] = "b"
    first.content.media_urls.append("x")
    assert second == _SHORT


def test_a_schema_with_a_type_of_which_nobody_thought_is_refused_at_once() -> None:
    definition = {**current()["commlayer.MessageRequest"].definition}
    definition["fields"] = [*definition["fields"]]
    definition["fields"][0] = {"name": "recipient", "type": ["string", "int"]}
    for compile_code in (compile_writer, compile_reader):
        with pytest.raises(NotImplementedError, match="union"):
            compile_code(schema(definition))
