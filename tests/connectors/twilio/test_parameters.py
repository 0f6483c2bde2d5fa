from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.twilio.errors import classify
from connectors.twilio.parameters import ParameterError, create_parameters
from schemas.records import Channel
from tests.connectors.twilio.orders import NOW_MS, SERVICE_SID, TEMPLATE_SID, order

CALLBACK = "https://bridge.example.com/twilio/status?m=1&r=0&a=1#rc=5&rp=all"


def parameters(status_callback: str | None = CALLBACK, **changes: Any) -> list[tuple[str, str]]:
    return create_parameters(order(**changes), status_callback=status_callback, now_ms=NOW_MS)


def value(name: str, **changes: Any) -> str | None:
    return dict(parameters(**changes)).get(name)


def test_a_plain_sms_has_to_from_body_and_callback() -> None:
    assert parameters() == [
        ("To", "+14155550123"),
        ("From", "+14155550100"),
        ("Body", "Your code is 123456"),
        ("StatusCallback", CALLBACK),
    ]


def test_whatsapp_addresses_carry_the_channel_prefix() -> None:
    sent = dict(parameters(channel=Channel.WHATSAPP))

    assert (sent["To"], sent["From"]) == ("whatsapp:+14155550123", "whatsapp:+14155550100")


def test_a_messaging_service_may_stand_alone_or_with_a_pinned_sender() -> None:
    alone = dict(parameters(sender=None, messaging_service_sid=SERVICE_SID))
    pinned = dict(parameters(messaging_service_sid=SERVICE_SID))

    assert "From" not in alone
    assert alone["MessagingServiceSid"] == pinned["MessagingServiceSid"] == SERVICE_SID
    assert pinned["From"] == "+14155550100"


def test_media_are_repeated_and_an_mms_without_media_is_forced() -> None:
    urls = [f"https://m.example/{number}.png" for number in range(10)]

    assert [value for name, value in parameters(media_urls=urls) if name == "MediaUrl"] == urls
    assert value("SendAsMms", channel=Channel.MMS) == "true"
    assert value("SendAsMms", channel=Channel.MMS, media_urls=urls) is None


def test_a_template_takes_its_variables_as_one_json_object() -> None:
    sent = dict(parameters(body=None, content_sid=TEMPLATE_SID, content_variables={"1": "Ann", "2": "Ä"}))

    assert sent["ContentSid"] == TEMPLATE_SID
    assert json.loads(sent["ContentVariables"]) == {"1": "Ann", "2": "Ä"}
    assert "Body" not in sent


@pytest.mark.parametrize(
    ("asked", "left_ms", "expected"),
    [
        (None, 24 * 3_600_000, None),  # Twilio's maximum is the default: a service's own setting holds
        (None, 600_000, "600"),
        (None, 600_999, "600"),
        (None, 2_000, "6"),  # Twilio advises more than 5 s
        (None, -5_000, "6"),
        (900, 24 * 3_600_000, "900"),
        (900, 600_000, "600"),
        (3, 600_000, "3"),
        (36_000, 48 * 3_600_000, "36000"),
    ],
)
def test_a_message_waits_inside_twilio_no_longer_than_its_deadline(
    asked: int | None, left_ms: int, expected: str | None
) -> None:
    assert value("ValidityPeriod", validity_period_s=asked, deadline=NOW_MS + left_ms) == expected


def test_options_are_sent_only_when_set() -> None:
    sent = dict(
        parameters(
            messaging_service_sid=SERVICE_SID,
            shorten_urls=True,
            smart_encoding=False,
            message_intent="otp",
            tags={"campaign_name": "spring.2026"},
        )
    )

    assert (sent["ShortenUrls"], sent["SmartEncoded"], sent["MessageIntent"]) == ("true", "false", "otp")
    assert json.loads(sent["Tags"]) == {"campaign_name": "spring.2026"}
    assert not {"ShortenUrls", "SmartEncoded", "MessageIntent", "Tags", "Attempt"} & dict(parameters()).keys()


def test_the_number_of_attempts_may_be_told() -> None:
    assert ("Attempt", "3") in create_parameters(order(), status_callback=None, now_ms=NOW_MS, attempt=3)


@pytest.mark.parametrize(
    ("changes", "code", "field"),
    [
        ({"recipient": "4155550123"}, 21211, "recipient"),
        ({"recipient": ""}, 21211, "recipient"),
        ({"recipient": "+1415555012345678"}, 21211, "recipient"),
        ({"recipient": "whatsapp:+14155550123"}, 21211, "recipient"),
        ({"sender": None}, 21603, "sender"),
        ({"sender": "+14155550123"}, 21266, "sender"),
        ({"messaging_service_sid": "MG1"}, 21701, "messaging_service_sid"),
        ({"body": None}, 21619, "body"),
        ({"body": ""}, 21619, "body"),
        ({"body": "x" * 1601}, 21617, "body"),
        ({"body": "👍" * 801}, 21617, "body"),
        ({"body": "\ud83d"}, 21618, "body"),
        ({"media_urls": ["https://m.example/1.png"] * 11}, 21623, "media_urls"),
        ({"media_urls": ["ftp://m.example/1.png"]}, 21620, "media_urls"),
        ({"media_urls": ["https://"]}, 21620, "media_urls"),
        ({"media_urls": ["https://[oops/"]}, 21620, "media_urls"),
        ({"body": None, "content_sid": "HX1"}, 21655, "content_sid"),
        ({"content_sid": TEMPLATE_SID}, 35127, "content_sid"),
        ({"content_variables": {"1": "x"}}, 21654, "content_variables"),
        (
            {"body": None, "content_sid": TEMPLATE_SID, "content_variables": {str(n): "x" for n in range(101)}},
            21656,
            "content_variables",
        ),
        ({"validity_period_s": 0}, 21624, "validity_period_s"),
        ({"validity_period_s": 36_001}, 21624, "validity_period_s"),
        ({"shorten_urls": True}, 30124, "shorten_urls"),
        ({"message_intent": "spam"}, 20422, "message_intent"),
        ({"tags": {str(n): "x" for n in range(11)}}, 21658, "tags"),
        ({"tags": {"": "x"}}, 21658, "tags"),
        ({"tags": {"x" * 129: "x"}}, 21658, "tags"),
        ({"tags": {"x": "x" * 257}}, 21658, "tags"),
        ({"tags": {"x": "two words"}}, 21658, "tags"),
        ({"status_callback": "https://bridge_1.example.com/s"}, 21609, "status_callback"),
        ({"status_callback": "https://bridge.example.com/" + "s" * 4000}, 21609, "status_callback"),
        ({"status_callback": "bridge.example.com"}, 21609, "status_callback"),
        ({"status_callback": "https://brücke.example.com/"}, 21609, "status_callback"),
    ],
)
def test_a_broken_limit_names_the_field_and_twilios_code(changes: dict[str, Any], code: int, field: str) -> None:
    with pytest.raises(ParameterError) as raised:
        parameters(**changes)

    assert (raised.value.code, raised.value.field) == (code, field)
    assert classify(code).known


@pytest.mark.parametrize(
    "changes",
    [
        {"body": "x" * 1600},
        {"body": "👍" * 800},
        {"recipient": "+4915112345678"},
        {"sender": "72345"},
        {"sender": "ACME"},
        {"status_callback": None},
        {"status_callback": "http://127.0.0.1:8080/twilio/status"},
        {"shorten_urls": False},
        {"tags": {"x" * 128: "y" * 256}},
    ],
)
def test_what_is_within_the_limits_passes(changes: dict[str, Any]) -> None:
    assert parameters(**changes)


@given(body=st.text(), url=st.text(max_size=50), tags=st.dictionaries(st.text(max_size=5), st.text(max_size=5)))
def test_any_order_gives_parameters_or_a_named_error(body: str, url: str, tags: dict[str, str]) -> None:
    for changes in ({"body": body}, {"media_urls": [url]}, {"status_callback": url}, {"tags": tags}):
        sent: list[tuple[str, str]] = []
        with suppress(ParameterError):
            sent = parameters(**changes)
        assert all(isinstance(part, str) for pair in sent for part in pair)
