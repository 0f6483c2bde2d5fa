from __future__ import annotations

import pytest

from tests.twin.rig import (
    ALPHA,
    LONG,
    PERSON,
    SECOND,
    SERVICE,
    SHORT,
    START,
    WHATSAPP,
    Caller,
    Hook,
)
from twin.server import Twin
from twin.settings import OutcomeRule, OutcomeSettings, ServiceSettings

POOL = "MG" + "5" * 32


def _senders(twin: Twin) -> list[str | None]:
    return [message.from_ for message in twin.books.messages]


@pytest.mark.parametrize(
    ("pool", "to", "chosen"),
    [
        ((LONG, SHORT, ALPHA), PERSON, SHORT),
        ((LONG, SHORT, ALPHA), "+4915112345678", ALPHA),
        ((SHORT, LONG), "+4915112345678", LONG),
        ((WHATSAPP, LONG), PERSON, LONG),
        ((WHATSAPP, LONG), "whatsapp:" + PERSON, WHATSAPP),
        ((ALPHA,), PERSON, None),
    ],
)
async def test_a_service_chooses_by_kind_and_country(
    pool: tuple[str, ...], to: str, chosen: str | None, twin: Twin, caller: Caller
) -> None:
    twin.exchange.directory.put_service(ServiceSettings(sid=POOL, senders=pool))
    await caller.create(MessagingServiceSid=POOL, To=to)
    await twin.advance(1)
    (message,) = twin.books.messages
    assert message.from_ == chosen
    if chosen is None:
        assert (message.status, message.error_code) == ("failed", 21703)


async def test_a_person_keeps_the_sender_once_got(twin: Twin, caller: Caller) -> None:
    await caller.create(MessagingServiceSid=SERVICE)
    await twin.advance(1)
    for number in range(40):  # LONG is 4 s behind when the next comes
        await caller.create(From=LONG, To=f"+1555867{number:04}")
    await twin.advance(0.1)
    await caller.create(MessagingServiceSid=SERVICE)
    await caller.create(MessagingServiceSid=SERVICE, To="+15558675311")
    await twin.advance(0.1)
    assert [_senders(twin)[at] for at in (0, -2, -1)] == [LONG, LONG, SECOND]


async def test_a_service_reports_queued_then_sent_then_delivered(twin: Twin, caller: Caller, hook: Hook) -> None:
    await caller.create(MessagingServiceSid=SERVICE, StatusCallback=hook.url())
    await twin.advance(1)
    assert hook.statuses() == ["queued", "sent", "delivered"]
    assert {call.fields["MessagingServiceSid"] for call in hook.calls} == {SERVICE}


async def test_the_services_own_callback_is_used_when_the_message_names_none(
    twin: Twin, caller: Caller, hook: Hook
) -> None:
    callback = hook.url("/service")
    twin.exchange.directory.put_service(ServiceSettings(sid=POOL, senders=(LONG,), status_callback=callback))
    await caller.create(MessagingServiceSid=POOL)
    await caller.create(MessagingServiceSid=POOL, StatusCallback=hook.url("/own"))
    await twin.advance(1)
    assert sorted({call.url.rpartition("/")[2] for call in hook.calls}) == ["own", "service"]


async def test_an_error_of_the_request_comes_later_with_a_service(twin: Twin, caller: Caller, hook: Hook) -> None:
    twin.plan_outcomes(OutcomeSettings(rules=(OutcomeRule(to_suffix="5310", refuse=21614),)))
    direct = await caller.create()
    assert (direct.status, direct.json["code"]) == (400, 21614)
    later = await caller.create(MessagingServiceSid=SERVICE, StatusCallback=hook.url())
    assert later.status == 201
    await twin.advance(1)
    assert [(call.fields["MessageStatus"], call.fields["ErrorCode"]) for call in hook.calls] == [("failed", "30006")]


async def test_a_scheduled_message_goes_at_its_time(twin: Twin, caller: Caller, hook: Hook) -> None:
    when = {"ScheduleType": "fixed", "SendAt": "2026-11-23T13:00:00Z", "StatusCallback": hook.url()}
    created = (await caller.create(MessagingServiceSid=SERVICE, **when)).json
    assert (created["status"], created["from"], created["num_segments"]) == ("scheduled", None, "0")
    await twin.advance(3599)
    assert hook.calls == []
    await twin.advance(1)
    assert hook.statuses() == ["queued", "sent", "delivered"]
    (message,) = twin.books.messages
    assert message.left_queue == START + 3600


async def test_a_scheduled_message_can_be_canceled_once(twin: Twin, caller: Caller, hook: Hook) -> None:
    when = {"ScheduleType": "fixed", "SendAt": "2026-11-23T13:00:00Z", "StatusCallback": hook.url()}
    uri = (await caller.create(MessagingServiceSid=SERVICE, **when)).json["uri"]
    assert (await caller.request("POST", uri, data={"Status": "canceled"})).json["status"] == "canceled"
    again = await caller.request("POST", uri, data={"Status": "canceled"})
    assert (again.status, again.json["code"]) == (409, 30409)
    await twin.advance(7200)
    assert hook.statuses() == ["canceled"]
    assert "From" not in hook.calls[0].fields


async def test_a_message_under_way_cannot_be_canceled(caller: Caller) -> None:
    uri = (await caller.create()).json["uri"]
    assert (await caller.request("POST", uri, data={"Status": "canceled"})).json["code"] == 30409
