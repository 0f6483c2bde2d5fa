from __future__ import annotations

import pytest
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from tests.twin.rig import (
    ACCOUNT,
    CHILD,
    CHILD_TOKEN,
    PERSON,
    SERVICE,
    TOKEN,
    WHATSAPP,
    Caller,
    Hook,
    settings,
)
from twin.server import Twin
from twin.settings import ApplicationSettings, CallbackFault, FaultSettings, Outcome, OutcomeSettings, SenderSettings


async def test_a_status_callback_is_twilios_to_the_byte(twin: Twin, caller: Caller, hook: Hook) -> None:
    sid = (await caller.create(StatusCallback=hook.url("/twilio/status?m=1&r=0&a=1#rc=5&rp=all"))).json["sid"]
    await twin.advance(1)
    sent, delivered = hook.calls
    common = f"To=%2B15558675310&MessageSid={sid}&AccountSid={ACCOUNT}&From=%2B15557122661&ApiVersion=2010-04-01"
    assert sent.body.decode() == f"SmsSid={sid}&SmsStatus=sent&MessageStatus=sent&{common}"
    assert delivered.body.decode() == (
        f"RawDlrDoneDate=2611231200&SmsSid={sid}&SmsStatus=delivered&MessageStatus=delivered&{common}"
    )
    assert sent.method == "POST"
    assert sent.url == hook.url("/twilio/status?m=1&r=0&a=1")  # query kept, fragment cut off
    assert sent.headers["Content-Type"] == "application/x-www-form-urlencoded; charset=utf-8"
    assert sent.headers["User-Agent"] == "TwilioProxy/1.1"
    assert sent.headers["Accept"] == "*/*"
    assert sent.headers["X-Home-Region"] == "us1"
    assert "Accept-Encoding" not in sent.headers
    assert sent.headers["I-Twilio-Idempotency-Token"] != delivered.headers["I-Twilio-Idempotency-Token"]


async def test_callbacks_are_signed_with_the_primary_token(twin: Twin, caller: Caller, hook: Hook) -> None:
    await caller.create(StatusCallback=hook.url("/twilio/status?m=1#rc=5"))
    await Caller(twin, ACCOUNT, "secondary").create(StatusCallback=hook.url("/twilio/status?m=2"))
    await twin.advance(1)
    assert len(hook.calls) == 4
    for call in hook.calls:
        signature = call.headers["X-Twilio-Signature"]
        assert RequestValidator(TOKEN).validate(call.url, MultiDict(call.pairs), signature)
        assert not RequestValidator("secondary").validate(call.url, MultiDict(call.pairs), signature)


async def test_a_subaccounts_callbacks_are_signed_with_its_own_token(twin: Twin, hook: Hook) -> None:
    twin.exchange.directory.put_sender(SenderSettings(address="+15557122670", account=CHILD))
    answer = await Caller(twin).create(account=CHILD, From="+15557122670", StatusCallback=hook.url())
    assert answer.status == 201
    await twin.advance(1)
    call = hook.calls[0]
    assert RequestValidator(CHILD_TOKEN).validate(call.url, MultiDict(call.pairs), call.headers["X-Twilio-Signature"])


async def test_the_initial_state_is_never_reported(twin: Twin, caller: Caller, hook: Hook) -> None:
    await caller.create(StatusCallback=hook.url())
    await caller.create(MessagingServiceSid=SERVICE, StatusCallback=hook.url())
    await twin.settled()
    assert hook.calls == []


@pytest.mark.parametrize(
    ("outcome", "statuses"),
    [
        (Outcome(), ["sent", "delivered"]),
        (Outcome(status="read"), ["sent", "delivered", "read"]),
        (Outcome(status="sent"), ["sent"]),
        (Outcome(status="undelivered", error_code=30003), ["sent", "undelivered"]),
        (Outcome(status="failed", error_code=30008), ["failed"]),
    ],
)
async def test_outcomes_are_reported_step_by_step(
    outcome: Outcome, statuses: list[str], twin: Twin, caller: Caller, hook: Hook
) -> None:
    twin.plan_outcomes(OutcomeSettings(default=outcome))
    sid = (await caller.create(StatusCallback=hook.url())).json["sid"]
    for _ in range(5):
        await twin.advance(1)
    assert hook.statuses() == statuses
    fetched = (await caller.get(f"/Messages/{sid}.json")).json
    assert (fetched["status"], fetched["error_code"]) == (statuses[-1], outcome.error_code)
    if outcome.error_code is not None:
        assert hook.calls[-1].fields["ErrorCode"] == str(outcome.error_code)
        assert fetched["error_message"]


async def test_a_whatsapp_callback_has_its_own_fields(twin: Twin, caller: Caller, hook: Hook) -> None:
    await twin.inbound("whatsapp:" + PERSON, WHATSAPP, "Hi")
    hook.calls.clear()
    await caller.create(From=WHATSAPP, To="whatsapp:" + PERSON, StatusCallback=hook.url())
    await twin.advance(1)
    sent, delivered = hook.calls
    names = [name for name, _ in sent.pairs]
    assert names == [
        "ChannelPrefix",
        "ApiVersion",
        "MessageStatus",
        "SmsSid",
        "SmsStatus",
        "ChannelInstallSid",
        "To",
        "From",
        "MessageSid",
        "AccountSid",
        "ChannelToAddress",
        "StructuredMessage",
    ]
    assert sent.fields["ChannelToAddress"] == "+1555867XXXX"
    assert sent.fields["ChannelInstallSid"].startswith("XE")
    assert [name for name, _ in delivered.pairs][-1] == "ExternalUserId"


async def test_an_applications_callback_is_used(hook: Hook) -> None:
    application = ApplicationSettings(sid="AP" + "1" * 32, status_callback=hook.url("/app"))
    async with Twin(settings(applications=(application,))) as twin:
        await Caller(twin).create(ApplicationSid=application.sid)
        await twin.advance(1)
    assert [call.url for call in hook.calls] == [hook.url("/app")] * 2


async def test_faults_lose_repeat_delay_and_extend_callbacks(twin: Twin, caller: Caller, hook: Hook) -> None:
    twin.plan_faults(
        FaultSettings(
            callbacks=(
                CallbackFault(kind="delay", statuses=("sent",), delay_s=(5, 5), first=1),
                CallbackFault(kind="duplicate", statuses=("delivered",), copies=2, first=1),
                CallbackFault(kind="extra", statuses=("delivered",), first=1),
                CallbackFault(kind="lose", statuses=("failed",)),
            )
        )
    )
    await caller.create(StatusCallback=hook.url("/twilio/status?m=1"))
    await twin.advance(1)
    assert hook.statuses() == ["delivered"] * 3  # the sent one is late
    assert len({call.headers["I-Twilio-Idempotency-Token"] for call in hook.calls}) == 1
    for call in hook.calls:
        assert call.fields["FutureParameter"] == "1"
        assert RequestValidator(TOKEN).validate(call.url, MultiDict(call.pairs), call.headers["X-Twilio-Signature"])
    await twin.advance(5)
    assert hook.statuses() == ["delivered"] * 3 + ["sent"]
    twin.plan_outcomes(OutcomeSettings(default=Outcome(status="failed", error_code=30008)))
    await caller.create(StatusCallback=hook.url("/twilio/status?m=2"))
    await twin.advance(1)
    assert len(hook.calls) == 4
    (lost,) = twin.books.webhook_rows({"m": "2"})
    assert (lost["lost"], lost["delivered"], lost["tries"]) == (True, False, [])


async def test_only_so_many_webhooks_are_called_at_once(hook: Hook) -> None:
    async with Twin(settings(webhooks={"concurrency": 3})) as twin:
        caller = Caller(twin)
        for _ in range(10):
            await caller.create(StatusCallback=hook.url())
        await twin.advance(10)
    assert len(hook.calls) == 20
    assert hook.most_at_once <= 3


async def test_a_real_clock_settles_only_after_delayed_callbacks(hook: Hook) -> None:
    delay = CallbackFault(kind="delay", statuses=("sent",), delay_s=(0.3, 0.3))
    async with Twin(settings(clock="real", start=None, faults=FaultSettings(callbacks=(delay,)))) as twin:
        await Caller(twin).create(StatusCallback=hook.url())
        await twin.settled()
        assert hook.statuses() == ["delivered", "sent"]


async def test_a_reset_forgets_delayed_callbacks(twin: Twin, caller: Caller, hook: Hook) -> None:
    twin.plan_faults(FaultSettings(callbacks=(CallbackFault(kind="delay", delay_s=(5, 5)),)))
    await caller.create(StatusCallback=hook.url())
    await twin.advance(1)
    twin.reset()
    await twin.advance(10)
    assert hook.calls == []
