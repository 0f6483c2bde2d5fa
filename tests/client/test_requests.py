"""What an application says becomes the record of the contract, or is refused by the name of the parameter."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from commlayer_client import InvalidRequest, MessageFields
from commlayer_client.requests import cancellation, message_request, refusal

from schemas.codec import SingleObjectCodec
from schemas.errors import EncodeError
from schemas.records import Cancellation, Channel, Content, MessageRequest

_NOW = 1_763_900_000_000
_FULL: MessageFields = {
    "to": "(415) 555-0123",
    "category": "marketing",
    "body": "Hello",
    "media_urls": ("https://example.com/a.png",),
    "template": None,
    "channel": "mms",
    "fallback_channels": ["sms"],
    "idempotency_key": "row-7",
    "recipient_id": "customer-1",
    "sender": "us-short",
    "pool": "login",
    "not_before": datetime(2025, 11, 23, 13, 0, tzinfo=timezone(timedelta(hours=1))),
    "deadline": timedelta(hours=2),
    "locale": "de-CH",
    "campaign": "autumn",
    "tags": {"team": "growth"},
    "correlation_id": "c-1",
    "in_reply_to": "SM" + "0" * 32,
    "shorten_urls": True,
    "smart_encoding": False,
    "validity_period_s": 600,
}


def _request(**changes: Any) -> MessageRequest:
    fields: Any = {"to": "+14155550123", "category": "otp", "body": "x", **changes}
    return message_request(fields, now_ms=_NOW, default_region=None)


def test_every_parameter_reaches_its_field() -> None:
    assert message_request(_FULL, now_ms=_NOW, default_region="US") == MessageRequest(
        recipient="+14155550123",
        category="marketing",
        content=Content(body="Hello", media_urls=["https://example.com/a.png"]),
        channel=Channel.MMS,
        fallback_channels=[Channel.SMS],
        idempotency_key="row-7",
        recipient_id="customer-1",
        sender="us-short",
        pool="login",
        not_before=1_763_899_200_000,
        deadline=_NOW + 7_200_000,
        locale="de-CH",
        campaign="autumn",
        tags={"team": "growth"},
        correlation_id="c-1",
        in_reply_to="SM" + "0" * 32,
        shorten_urls=True,
        smart_encoding=False,
        validity_period_s=600,
        created_at=_NOW,
    )


def test_the_contract_has_no_field_that_a_client_cannot_say() -> None:
    said = set(MessageFields.__annotations__) - {"urgent", "traceparent"} | {"recipient", "content", "created_at"}
    fields = {field.name for record in (MessageRequest, Content) for field in dataclasses.fields(record)}
    assert said - {"to"} == fields


def test_template_and_content_sid_take_variables() -> None:
    assert _request(body=None, template="welcome", template_version="2", variables={"name": "Ada"}).content == Content(
        template="welcome", template_version="2", variables={"name": "Ada"}
    )
    assert _request(body=None, content_sid="HX1", variables={"1": "Ada"}).content.content_sid == "HX1"


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"to": None}, "to"),
        ({"category": None}, "category"),
        ({"category": ""}, "category"),
        ({"boddy": "x"}, "boddy"),
        ({"body": None}, "body"),
        ({"body": " \n"}, "body"),
        ({"body": "x" * 1601}, "body"),
        ({"body": "\N{GRINNING FACE}" * 801}, "body"),
        ({"template": "welcome"}, "template"),
        ({"content_sid": "HX1"}, "content_sid"),
        ({"body": None, "template": "a", "content_sid": "HX1"}, "content_sid"),
        ({"media_urls": "https://example.com"}, "media_urls"),
        ({"media_urls": ["u"] * 11}, "media_urls"),
        ({"variables": ["a"]}, "variables"),
        ({"channel": "fax"}, "channel"),
        ({"channel": None}, "channel"),
        ({"fallback_channels": ["sms", "fax"]}, "fallback_channels[1]"),
        ({"fallback_channels": "sms"}, "fallback_channels"),
        ({"idempotency_key": ""}, "idempotency_key"),
        ({"idempotency_key": "k" * 129}, "idempotency_key"),
        ({"tags": {str(number): "x" for number in range(11)}}, "tags"),
        ({"validity_period_s": 0}, "validity_period_s"),
        ({"validity_period_s": 36_001}, "validity_period_s"),
        ({"not_before": datetime(2025, 11, 23)}, "not_before"),
        ({"deadline": "tomorrow"}, "deadline"),
        ({"deadline": 1.5}, "deadline"),
        ({"deadline": True}, "deadline"),
        ({"deadline": 10**30}, "deadline"),
        ({"deadline": -1}, "deadline"),
        ({"not_before": timedelta(days=999_999_999)}, "not_before"),
        ({"category": ["otp"]}, "category"),
        ({"category": 5}, "category"),
        ({"urgent": "no"}, "urgent"),
        ({"urgent": 0}, "urgent"),
        ({"traceparent": 5}, "traceparent"),
        ({"traceparent": "00-x"}, "traceparent"),
        ({"traceparent": "\udcff"}, "traceparent"),
        ({"not_before": timedelta(hours=2), "deadline": timedelta(hours=1)}, "deadline"),
    ],
)
def test_what_cannot_be_right_is_refused_by_the_name_of_the_parameter(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        _request(**changes)
    assert caught.value.field == field
    assert caught.value.fix


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"body": 5}, "body"),
        ({"media_urls": [5]}, "media_urls[0]"),
        ({"variables": {"a": 5}}, "variables['a']"),
        ({"tags": {"a": None}}, "tags['a']"),
        ({"shorten_urls": "yes"}, "shorten_urls"),
        ({"validity_period_s": "600"}, "validity_period_s"),
        ({"idempotency_key": 7}, "idempotency_key"),
        ({"body": "\ud83d"}, "body"),
    ],
)
def test_a_wrong_type_is_refused_by_the_name_of_the_parameter(changes: dict[str, Any], field: str) -> None:
    with pytest.raises(EncodeError) as caught:
        SingleObjectCodec().encode(_request(**changes))
    assert refusal(caught.value).field == field


def test_moments_are_aware_datetimes_times_from_now_or_milliseconds() -> None:
    at = datetime(2025, 11, 23, 12, 0, tzinfo=UTC)
    assert _request(deadline=at).deadline == round(at.timestamp() * 1000)
    assert _request(deadline=timedelta(minutes=5)).deadline == _NOW + 300_000
    assert _request(deadline=_NOW + 1).deadline == _NOW + 1


def test_a_cancellation_names_its_message_by_id_or_by_key() -> None:
    by_key = cancellation(
        {"to": "+1 415 555 0123", "idempotency_key": "row-7", "reason": "sold out"}, now_ms=_NOW, default_region=None
    )
    assert by_key == Cancellation(
        recipient="+14155550123", idempotency_key="row-7", reason="sold out", requested_at=_NOW
    )
    by_id = cancellation({"to": "+14155550123", "message_id": "m"}, now_ms=_NOW, default_region=None)
    assert by_id.message_id == "m"
    for neither_nor_both in ({}, {"message_id": "m", "idempotency_key": "k"}):
        with pytest.raises(InvalidRequest, match="give one of the two"):
            cancellation({"to": "+14155550123", **neither_nor_both}, now_ms=_NOW, default_region=None)  # type: ignore[typeddict-item]  # wrong on purpose
