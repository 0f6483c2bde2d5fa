"""Schemas that others registered: read where they can be, refused where they could do harm."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from schemas.errors import DecodeError
from schemas.foreign import MAX_DEPTH, foreign_schema
from schemas.loading import current
from schemas.reasons import Reason
from schemas.records import Content, MessageRequest
from tests.support.fake_registry import FakeRegistry, confluent, field_of, registry_codec

_REQUEST = MessageRequest(
    recipient="+14155550123", category="otp", content=Content(body="x"), created_at=1_763_900_000_000
)
_OURS = current()["commlayer.MessageRequest"].definition


def _record(fields: list[Any], name: str = "commlayer.MessageRequest") -> str:
    return json.dumps({"type": "record", "name": name, "fields": fields})


def _nested(depth: int) -> Any:
    inner: Any = "string"
    for _ in range(depth):
        inner = {"type": "array", "items": inner}
    return inner


def _doubling(levels: int) -> str:
    """A record of two records of two records ..., whose values take no byte at all."""
    inner: Any = {"type": "record", "name": "R0", "fields": [{"name": "a", "type": "null"}]}
    for level in range(1, levels):
        inner = {
            "type": "record",
            "name": f"R{level}",
            "fields": [{"name": "a", "type": inner}, {"name": "b", "type": f"R{level - 1}"}],
        }
    return _record([{"name": "x", "type": inner}])


_RECURSIVE = {
    "type": "record",
    "name": "Link",
    "fields": [{"name": "next", "type": ["null", "Link"]}],
}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no Avro schema"),
        ("{", "no Avro schema"),
        ("{}", "no Avro schema"),
        ('{"type": "nonsense"}', "no Avro schema"),
        ('{"type": "record"}', "no Avro schema"),
        (_record([{"name": "x", "type": "commlayer.Missing"}]), "no Avro schema"),
        (_record([{"name": "x", "type": _RECURSIVE}]), "recursive"),
        (_record([{"name": "x", "type": {"type": "array", "items": "null"}}]), "take no bytes"),
        (_record([{"name": "x", "type": {"type": "array", "items": {"type": "record", "name": "E", "fields": []}}}]),
         "take no bytes"),
        (_record([{"name": "x", "type": _nested(MAX_DEPTH + 2)}]), "nests deeper"),
        (_doubling(30), "more than"),
        (_record([{"name": f"f{index}", "type": "null"} for index in range(6_000)]), "more than"),
        (" " * 2_000_000, "longer than"),
    ],
)  # fmt: skip
def test_a_schema_that_could_do_harm_or_is_none_is_refused_at_once(text: str, words: str) -> None:
    with pytest.raises(DecodeError) as caught:
        foreign_schema(text, 5)
    assert caught.value.reason is Reason.UNDECODABLE
    assert words in caught.value.detail
    assert caught.value.schema_id == 5


def test_text_nested_beyond_every_parser_is_refused() -> None:
    with pytest.raises(DecodeError):
        foreign_schema('{"type":' * 100_000, 5)


@pytest.mark.parametrize(
    "text",
    ["[]", '"string"', '{"type": "string"}', '["null", "string"]', '{"type": "enum", "name": "E", "symbols": ["a"]}'],
)
def test_a_schema_of_no_record_is_unexpected(text: str) -> None:
    with pytest.raises(DecodeError) as caught:
        foreign_schema(text, 5)
    assert caught.value.reason is Reason.UNEXPECTED_RECORD


def test_a_record_of_another_name_is_unexpected_and_the_registry_is_asked_once() -> None:
    registry = FakeRegistry()
    schema_id = registry.add(_record([{"name": "x", "type": "string"}], name="shop.Order"))
    codec = registry_codec(registry)
    for _ in range(2):
        with pytest.raises(DecodeError, match=r"shop\.Order") as caught:
            codec.load(schema_id) if registry.asked == 0 else codec.decode(b"\x00\x00\x00\x00\x01\x02a")
        assert caught.value.reason is Reason.UNEXPECTED_RECORD
    assert registry.asked == 1


def test_logical_types_of_a_java_writer_do_not_turn_integers_into_dates() -> None:
    definition = copy.deepcopy(_OURS)
    field_of(definition, "created_at")["type"] = {"type": "long", "logicalType": "timestamp-millis"}
    field_of(definition, "deadline")["type"] = ["null", {"type": "long", "logicalType": "timestamp-millis"}]
    definition["fields"].append({"name": "extra", "type": {"type": "string", "logicalType": "uuid"}})
    registry = FakeRegistry()
    schema_id = registry.add(json.dumps(definition))
    codec = registry_codec(registry)
    codec.load(schema_id)
    values = {**_REQUEST.to_avro(), "deadline": 1_763_900_060_000, "extra": "no uuid at all"}
    read = codec.decode(confluent(schema_id, foreign_schema(json.dumps(definition), 1), values))
    assert isinstance(read, MessageRequest)
    assert (read.created_at, read.deadline) == (_REQUEST.created_at, 1_763_900_060_000)


def test_a_required_field_that_the_writer_lacks_makes_its_records_undecodable() -> None:
    registry = FakeRegistry()
    text = _record([{"name": "recipient", "type": "string"}])
    schema_id = registry.add(text)
    codec = registry_codec(registry)
    codec.load(schema_id)
    with pytest.raises(DecodeError) as caught:
        codec.decode(b"\x00\x00\x00\x00\x01\x02a")
    assert caught.value.reason is Reason.UNDECODABLE
    assert caught.value.schema_id == schema_id
