from __future__ import annotations

from typing import Any

import pytest

from connectors.webhooks.form import Malformed, parse_form, parse_query
from connectors.webhooks.status import read_status
from schemas.records import Callback, CallbackSource, Channel
from tests.connectors.webhooks.calls import ACCOUNT_SID, NOW_MS, SID, status_form

QUERY = "m=3f0c7b1e-1111-5222-8333-444455556666&r=2&a=3"


def read(query: str = QUERY, **changes: Any) -> Callback:
    return read_status(status_form(**changes), parse_query(query), token="tok", now_ms=NOW_MS)


def test_a_callback_names_the_message_round_and_attempt_of_its_url() -> None:
    assert read() == Callback(
        message_id="3f0c7b1e-1111-5222-8333-444455556666",
        round=2,
        attempt=3,
        source=CallbackSource.STATUS_CALLBACK,
        sid=SID,
        account_sid=ACCOUNT_SID,
        status="delivered",
        sender="+14155550100",
        recipient="+14155550123",
        channel=Channel.SMS,
        idempotency_token="tok",
        received_at=NOW_MS,
        params={"SmsSid": SID, "SmsStatus": "delivered", "ApiVersion": "2010-04-01"},
    )


@pytest.mark.parametrize("query", ["", "tenant=acme", "m=", "m=%00%0a", "m=" + "x" * 101, "m=two%20words"])
def test_without_our_message_id_the_sid_takes_its_place(query: str) -> None:
    callback = read(query)

    assert (callback.message_id, callback.round, callback.attempt) == (SID, 0, None)


def test_everything_unknown_is_kept_also_when_blank() -> None:
    callback = read("m=1&tenant=acme", BrandNew="x", Blank="")

    assert callback.params["tenant"] == "acme"
    assert callback.params["BrandNew"] == "x"
    assert callback.params["Blank"] == ""


def test_a_failure_carries_code_text_service_and_carrier_time() -> None:
    callback = read(
        MessageStatus="undelivered",
        ErrorCode="30003",
        ErrorMessage="Unreachable",
        MessagingServiceSid="MG1",
        RawDlrDoneDate="2611231205",
        NumSegments="2",
        Price="-0.0079",
        PriceUnit="USD",
    )

    assert (callback.status, callback.error_code, callback.error_message) == ("undelivered", 30003, "Unreachable")
    assert (callback.messaging_service_sid, callback.raw_dlr_done_date) == ("MG1", "2611231205")
    assert (callback.num_segments, callback.price, callback.price_unit) == (2, "-0.0079", "USD")


@pytest.mark.parametrize("word", ["READ", "partially_delivered", "a word of tomorrow"])
def test_a_status_word_is_taken_as_received(word: str) -> None:
    assert read(MessageStatus=word).status == word


@pytest.mark.parametrize("value", ["", "abc", "99999999999", "1e3", "٣", " 5"])
def test_a_number_that_is_none_stays_among_the_unknown(value: str) -> None:
    callback = read(ErrorCode=value)

    assert callback.error_code is None
    assert callback.params["ErrorCode"] == value


def test_whatsapp_fields_are_kept_and_the_prefix_becomes_the_channel() -> None:
    callback = read(
        To="whatsapp:+5511900001234",
        From="whatsapp:+14155550100",
        ChannelPrefix="whatsapp",
        ChannelToAddress="+551190000XXXX",
        ExternalUserId="whatsapp:BR.123",
        EventType="READ",
    )

    assert (callback.channel, callback.recipient) == (Channel.WHATSAPP, "+5511900001234")
    assert callback.sender == "whatsapp:+14155550100"
    assert callback.params["ExternalUserId"] == "whatsapp:BR.123"
    assert callback.params["ChannelToAddress"] == "+551190000XXXX"


@pytest.mark.parametrize(
    ("to", "sid", "channel"),
    [("+1", "MM" + "1" * 32, Channel.MMS), ("rcs:agent", SID, None), (None, SID, None), ("", SID, None)],
)
def test_the_channel_follows_from_prefix_and_sid(to: str | None, sid: str, channel: Channel | None) -> None:
    assert read(To=to, MessageSid=sid).channel is channel


def test_the_older_names_of_sid_and_status_will_do() -> None:
    callback = read(MessageSid=None, MessageStatus=None)

    assert (callback.sid, callback.status) == (SID, "delivered")


@pytest.mark.parametrize(
    "changes",
    [
        {"MessageSid": None, "SmsSid": None},
        {"MessageSid": "SM1", "SmsSid": "' or 1"},
        {"MessageStatus": "", "SmsStatus": None},
        {"AccountSid": None},
    ],
)
def test_a_callback_without_sid_status_or_account_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read(**changes)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a=b&" * 301])
def test_a_body_that_is_no_form_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse_form(body)


def test_blank_and_repeated_values_are_kept_for_the_signature() -> None:
    assert parse_form(b"a=&b=1&b=2&c&d=%F0%9F%91%8D+%26") == [
        ("a", ""), ("b", "1"), ("b", "2"), ("c", ""), ("d", "👍 &"),
    ]  # fmt: skip
