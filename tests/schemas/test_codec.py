"""Bytes and records: round trips, exactness when writing, and nothing but DecodeError for whatever is read."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import io
from typing import Any

import fastavro
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.codec import ABSENCE_KEPT_S, SingleObjectCodec
from schemas.errors import (
    DecodeError,
    EncodeError,
    NotPrepared,
    RegistryUnavailable,
    SchemaNotLoaded,
    SchemaNotRegistered,
)
from schemas.loading import Schema, current, schema
from schemas.reasons import Reason
from schemas.records import (
    RECORDS,
    Channel,
    Content,
    DeadLetter,
    Deferral,
    Inbound,
    InboundMedia,
    MessageRequest,
    Record,
    Stage,
)
from tests.support.fake_registry import FakeRegistry, confluent, field_of, registry_codec, single_object
from tests.support.records import any_record, records

_CODEC = SingleObjectCodec()
_REQUEST = MessageRequest(
    recipient="+14155550123",
    category="otp",
    content=Content(body="Your code is 123456", variables={"1": "x"}),
    idempotency_key="k-1",
    tags={"a": "b"},
    fallback_channels=[Channel.WHATSAPP],
    created_at=1_763_900_000_000,
)


def _changed(record: type[Record], change: Any) -> Schema:
    definition = copy.deepcopy(current()[record.AVRO_NAME].definition)
    change(definition)
    return schema(definition)


# Round trips


@pytest.mark.parametrize("name", sorted(RECORDS))
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_every_record_comes_back_as_it_was(name: str, data: st.DataObject) -> None:
    record = data.draw(records(RECORDS[name]))
    back = _CODEC.decode(_CODEC.encode(record))
    assert back == record
    assert type(back) is RECORDS[name]


@given(record=any_record())
@settings(max_examples=60, deadline=None)
def test_every_record_comes_back_through_a_registry(record: Record) -> None:
    codec = registry_codec()
    codec.prepare(register=True)
    data = codec.encode(record)
    assert data[0] == 0
    assert codec.decode(data) == record


def test_enums_and_nested_records_come_back_typed() -> None:
    deferral = Deferral(
        message_id="m", round=1, app="shop", due_at=1, reason="not_before", by=Stage.POLICY, request=_REQUEST, at=2
    )
    back = _CODEC.decode(_CODEC.encode(deferral))
    assert isinstance(back, Deferral)
    assert back.by is Stage.POLICY
    assert isinstance(back.request, MessageRequest)
    assert isinstance(back.request.content, Content)
    assert back.request.fallback_channels[0] is Channel.WHATSAPP


def test_the_encoding_is_that_of_the_specification() -> None:
    data = _CODEC.encode(_REQUEST)
    assert data[:2] == b"\xc3\x01"
    assert data[2:10] == current()["commlayer.MessageRequest"].fingerprint
    values = fastavro.schemaless_reader(io.BytesIO(data[10:]), current()["commlayer.MessageRequest"].parsed, None)
    assert values == _REQUEST.to_avro()


# Exactness when writing


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"created_at": 1.5}, "created_at", "type float"),
        ({"created_at": True}, "created_at", "type bool"),
        ({"created_at": None}, "created_at", "is missing"),
        ({"created_at": 2**63}, "created_at", "too large"),
        ({"validity_period_s": 2**31}, "validity_period_s", "too large"),
        ({"recipient": 4155550123}, "recipient", "type int"),
        ({"recipient": b"+1"}, "recipient", "type bytes"),
        ({"recipient": "\ud83d"}, "recipient", "surrogate"),
        ({"channel": "fax"}, "channel", "no member"),
        ({"channel": None}, "channel", "is missing"),
        ({"content": {"body": "x"}}, "content", "type dict"),
        ({"content": None}, "content", "is missing"),
        ({"content": Content(body=3)}, "content.body", "type int"),  # type: ignore[arg-type]  # wrong on purpose
        ({"content": Content(media_urls="http://x")}, "content.media_urls", "type str"),  # type: ignore[arg-type]  # wrong on purpose
        ({"content": Content(media_urls=["a", None])}, "content.media_urls[1]", "is missing"),  # type: ignore[list-item]  # wrong on purpose
        ({"tags": {"a": 1}}, "tags['a']", "type int"),
        ({"tags": {1: "a"}}, "tags", "key"),
        ({"tags": ["a"]}, "tags", "type list"),
        ({"fallback_channels": "sms"}, "fallback_channels", "type str"),
        ({"fallback_channels": [Channel.SMS, "fax"]}, "fallback_channels[1]", "no member"),
        ({"shorten_urls": "yes"}, "shorten_urls", "type str"),
        ({"shorten_urls": 1}, "shorten_urls", "type int"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_by_name(change: dict[str, Any], field: str, words: str) -> None:
    with pytest.raises(EncodeError) as caught:
        _CODEC.encode(dataclasses.replace(_REQUEST, **change))
    assert caught.value.field == field
    assert words in caught.value.detail
    assert caught.value.fix


@pytest.mark.parametrize(
    ("record", "field"),
    [
        (Inbound(sid="s", account_sid="a", recipient="+1", channel=Channel.SMS, sender="+2", body="x", received_at=1,
                 latitude="1"), "latitude"),  # type: ignore[arg-type]  # wrong on purpose
        (Inbound(sid="s", account_sid="a", recipient="+1", channel=Channel.SMS, sender="+2", body="x", received_at=1,
                 latitude=2**1100), "latitude"),
        (Inbound(sid="s", account_sid="a", recipient="+1", channel=Channel.SMS, sender="+2", body="x", received_at=1,
                 num_segments=2**31), "num_segments"),
        (Inbound(sid="s", account_sid="a", recipient="+1", channel=Channel.SMS, sender="+2", body="x", received_at=1,
                 media=[InboundMedia(url="u"), InboundMedia(url=1)]), "media[1].url"),  # type: ignore[arg-type]  # wrong on purpose
        (Deferral(message_id="m", round=1, app="a", due_at=1, reason="r", by=Stage.POLICY, at=2,
                  request=dataclasses.replace(_REQUEST, created_at=1.5)), "request.created_at"),  # type: ignore[arg-type]  # wrong on purpose
        (Content(body="x"), "commlayer.Content"),
    ],
)  # fmt: skip
def test_nested_values_are_refused_by_path(record: Record, field: str) -> None:
    with pytest.raises(EncodeError) as caught:
        _CODEC.encode(record)
    assert caught.value.field == field


def test_a_refusal_never_quotes_the_value() -> None:
    import traceback

    with pytest.raises(EncodeError) as caught:
        _CODEC.encode(dataclasses.replace(_REQUEST, shorten_urls="very" + "private"))  # type: ignore[arg-type]  # wrong on purpose
    assert "veryprivate" not in "".join(traceback.format_exception(caught.value))


@given(
    field=st.sampled_from([field.name for field in dataclasses.fields(MessageRequest)]),
    value=st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.binary(max_size=5),
        st.lists(st.one_of(st.none(), st.integers(), st.text(max_size=3)), max_size=2),
        st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), st.one_of(st.text(), st.none()), max_size=2),
    ),
)  # fmt: skip
@settings(max_examples=400, deadline=None)
def test_what_is_written_is_what_was_given_or_nothing_is_written(field: str, value: Any) -> None:
    record = dataclasses.replace(_REQUEST, **{field: value})
    refused, data = "", b""
    try:
        data = _CODEC.encode(record)
    except EncodeError as error:
        refused = error.field
    assert refused.startswith(field) if refused else _CODEC.decode(data) == record


# Whatever is read


@given(data=st.binary(max_size=200))
@settings(max_examples=300, deadline=None)
def test_garbage_is_undecodable_and_nothing_worse(data: bytes) -> None:
    with pytest.raises(DecodeError):
        _CODEC.decode(data)


@given(name=st.sampled_from(sorted(RECORDS)), data=st.binary(max_size=200))
@settings(max_examples=500, deadline=None)
def test_garbage_behind_a_true_fingerprint_is_a_record_or_undecodable(name: str, data: bytes) -> None:
    record, reason = None, None
    try:
        record = _CODEC.decode(b"\xc3\x01" + current()[name].fingerprint + data)
    except DecodeError as error:
        reason = error.reason
    if record is None:
        assert reason is Reason.UNDECODABLE
    else:
        assert _CODEC.decode(_CODEC.encode(record)) == record or "nan" in repr(record)


@given(record=any_record(), position=st.integers(0, 10_000), value=st.integers(0, 255))
@settings(max_examples=300, deadline=None)
def test_a_damaged_byte_never_raises_anything_else(record: Record, position: int, value: int) -> None:
    data = bytearray(_CODEC.encode(record))
    data[position % len(data)] = value
    try:
        again = _CODEC.decode(bytes(data))
    except DecodeError:
        return
    _CODEC.encode(again)  # what was read can be passed on


@given(record=any_record(), cut=st.integers(1, 10_000))
@settings(max_examples=200, deadline=None)
def test_a_cut_record_is_undecodable(record: Record, cut: int) -> None:
    data = _CODEC.encode(record)
    with pytest.raises(DecodeError) as caught:
        _CODEC.decode(data[: -(cut % len(data)) or -1])
    assert caught.value.reason is Reason.UNDECODABLE


def test_a_cut_record_names_the_field_in_which_it_ends() -> None:
    data = _CODEC.encode(_REQUEST)
    with pytest.raises(DecodeError) as caught:
        _CODEC.decode(data[:40])
    assert caught.value.field == "content"
    with pytest.raises(DecodeError) as caught:
        _CODEC.decode(data[:-1])
    assert caught.value.field == "created_at"


def test_the_failing_field_is_found_behind_a_named_type_that_an_earlier_field_defined() -> None:
    data = _CODEC.encode(dataclasses.replace(_REQUEST, fallback_channels=[Channel.SMS]))
    place = data.index(b"\x02\x00\x00", 40)  # one item, symbol 0, end of the array
    with pytest.raises(DecodeError) as caught:
        _CODEC.decode(data[: place + 1] + b"\x7e" + data[place + 2 :])
    assert caught.value.field == "fallback_channels"
    assert "enum symbol" in caught.value.detail


def test_trailing_bytes_are_undecodable() -> None:
    with pytest.raises(DecodeError, match="3 bytes follow"):
        _CODEC.decode(_CODEC.encode(_REQUEST) + b"abc")


def test_an_int_of_more_than_32_bits_is_undecodable_for_it_could_not_be_passed_on() -> None:
    writer = current()["commlayer.Deferral"]
    values = Deferral(
        message_id="m", round=1, app="a", due_at=1, reason="r", by=Stage.POLICY, at=2,
        request=dataclasses.replace(_REQUEST, validity_period_s=77),
    ).to_avro()  # fmt: skip
    data = single_object(writer, values)
    wide = data.replace(b"\x02\x9a\x01", b"\x02\x80\x80\x80\x80\x80\x40")
    assert wide != data
    with pytest.raises(DecodeError) as caught:
        _CODEC.decode(wide)
    assert caught.value.field == "request.validity_period_s"


@pytest.mark.parametrize(
    ("data", "reason", "words"),
    [
        (b"", Reason.UNDECODABLE, "no value"),
        (b'{"recipient": "+1"}', Reason.UNDECODABLE, "JSON"),
        (b"\xff\xfe", Reason.UNDECODABLE, "fffe"),
        (b"\xc3\x01\x01", Reason.UNDECODABLE, "fingerprint"),
        (b"\xc3\x01" + b"12345678" + b"x", Reason.UNKNOWN_SCHEMA, "3132333435363738"),
    ],
)
def test_bytes_in_no_format_of_ours_are_named(data: bytes, reason: Reason, words: str) -> None:
    for codec in (_CODEC, registry_codec()):
        with pytest.raises(DecodeError) as caught:
            codec.decode(data)
        assert caught.value.reason is reason
        assert words in caught.value.detail
        assert caught.value.fix


# Other versions of a schema


def test_a_record_of_an_earlier_version_is_read_with_todays_defaults() -> None:
    def before_tags(definition: Any) -> None:
        definition["fields"].remove(field_of(definition, "tags"))
        definition["fields"].remove(field_of(definition, "locale"))

    earlier = _changed(MessageRequest, before_tags)
    values = {name: value for name, value in _REQUEST.to_avro().items() if name not in ("tags", "locale")}
    codec = SingleObjectCodec([earlier])
    first, second = (codec.decode(single_object(earlier, values)) for _ in range(2))
    assert first == dataclasses.replace(_REQUEST, tags={}, locale=None)
    assert isinstance(first, MessageRequest)
    first.tags["a"] = "b"
    assert second == dataclasses.replace(_REQUEST, tags={}, locale=None), "two records share one default"


def test_a_writers_symbol_that_we_do_not_know_is_undecodable() -> None:
    def with_rcs(definition: Any) -> None:
        field_of(definition, "channel")["type"]["symbols"].append("rcs")

    newer = _changed(MessageRequest, with_rcs)
    with pytest.raises(DecodeError) as caught:
        SingleObjectCodec([newer]).decode(single_object(newer, {**_REQUEST.to_avro(), "channel": "rcs"}))
    assert caught.value.reason is Reason.UNDECODABLE
    assert caught.value.field == "channel"
    read = SingleObjectCodec([newer]).decode(single_object(newer, _REQUEST.to_avro()))
    assert read == _REQUEST, "its known symbols are read"


def test_a_writers_additional_field_is_passed_over() -> None:
    def with_extra(definition: Any) -> None:
        definition["fields"].insert(1, {"name": "extra", "type": {"type": "map", "values": "long"}})

    newer = _changed(MessageRequest, with_extra)
    values = {**_REQUEST.to_avro(), "extra": {"x": 1}}
    assert SingleObjectCodec([newer]).decode(single_object(newer, values)) == _REQUEST


# Through a registry


def test_an_unknown_id_asks_to_be_loaded_and_is_read_then() -> None:
    registry = FakeRegistry()
    schema_id = registry.add(current()["commlayer.MessageRequest"].text)
    codec = registry_codec(registry)
    data = confluent(schema_id, current()["commlayer.MessageRequest"], _REQUEST.to_avro())
    with pytest.raises(SchemaNotLoaded) as caught:
        codec.decode(data)
    codec.load(caught.value.schema_id)
    assert codec.decode(data) == _REQUEST
    assert registry.asked == 1


def test_an_id_that_the_registry_does_not_have_is_final_and_asked_for_once_in_a_while() -> None:
    now = [0.0]
    registry = FakeRegistry()
    codec = registry_codec(registry, clock=lambda: now[0])
    data = b"\x00\x00\x00\x00\x07abc"
    with pytest.raises(SchemaNotLoaded):
        codec.decode(data)
    for _ in range(5):
        with pytest.raises(DecodeError) as caught:
            codec.load(7)
        assert caught.value.reason is Reason.UNKNOWN_SCHEMA
        assert caught.value.schema_id == 7
        with pytest.raises(DecodeError):
            codec.decode(data)
    assert registry.asked == 1
    now[0] = ABSENCE_KEPT_S + 1
    with pytest.raises(SchemaNotLoaded):
        codec.decode(data)


@pytest.mark.parametrize("schema_id", [b"\x80\x00\x00\x00", b"\xff\xff\xff\xff"])
def test_an_id_that_no_registry_can_have_is_final_unasked_and_can_be_reported(schema_id: bytes) -> None:
    registry = FakeRegistry()
    registry.down = True
    with pytest.raises(DecodeError) as caught:
        registry_codec(registry).decode(b"\x00" + schema_id + b"abc")
    assert caught.value.reason is Reason.UNKNOWN_SCHEMA
    assert registry.asked == 0
    letter = DeadLetter(
        stage=Stage.POLICY,
        reason=caught.value.reason,
        detail=caught.value.detail,
        source_topic="t",
        source_partition=0,
        source_offset=0,
        value_size=8,
        schema_id=caught.value.schema_id,
        at=0,
    )
    assert _CODEC.decode(_CODEC.encode(letter)) == letter


def test_a_registry_that_is_down_is_waited_for_and_nothing_is_remembered() -> None:
    registry = FakeRegistry()
    schema_id = registry.add(current()["commlayer.MessageRequest"].text)
    registry.down = True
    codec = registry_codec(registry)
    with pytest.raises(RegistryUnavailable):
        codec.load(schema_id)
    with pytest.raises(RegistryUnavailable):
        codec.prepare()
    registry.down = False
    codec.load(schema_id)
    assert codec.decode(confluent(schema_id, current()["commlayer.MessageRequest"], _REQUEST.to_avro())) == _REQUEST


def test_a_registry_codec_reads_single_object_encoding_too() -> None:
    assert registry_codec().decode(_CODEC.encode(_REQUEST)) == _REQUEST


def test_encoding_needs_the_ids_first_and_schemas_are_not_registered_unasked() -> None:
    registry = FakeRegistry()
    codec = registry_codec(registry)
    with pytest.raises(NotPrepared):
        codec.encode(_REQUEST)
    with pytest.raises(SchemaNotRegistered, match="commlayer schemas register"):
        codec.prepare([MessageRequest])
    codec.prepare([MessageRequest], register=True)
    assert codec.decode(codec.encode(_REQUEST)) == _REQUEST


def test_a_cut_schema_id_is_undecodable() -> None:
    with pytest.raises(DecodeError, match="schema id"):
        registry_codec().decode(b"\x00\x00\x01")


@given(data=st.binary(max_size=60))
@settings(max_examples=200, deadline=None)
def test_garbage_in_confluent_format_is_undecodable_or_asks_for_its_schema(data: bytes) -> None:
    registry = FakeRegistry()
    codec = registry_codec(registry)
    codec.prepare(register=True)
    for prefix in (b"\x00", b"\x00" + bytes(3)):
        with contextlib.suppress(DecodeError, SchemaNotLoaded):
            codec.decode(prefix + data)
