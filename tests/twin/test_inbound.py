from __future__ import annotations

import pytest
from aiohttp import web
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from tests.twin.rig import (
    ACCOUNT,
    LONG,
    PERSON,
    SERVICE,
    SHORT,
    TOKEN,
    TOLL_FREE,
    WHATSAPP,
    Caller,
    Hook,
    settings,
    twiml,
)
from twin.server import Twin
from twin.settings import CallbackFault, FaultSettings, SenderSettings, ServiceSettings


async def test_an_sms_is_posted_with_every_field_in_order_the_empty_ones_too(twin: Twin, hook: Hook) -> None:
    receipt = await twin.inbound(PERSON, SHORT, "Yes & no")
    (call,) = hook.calls
    sid = receipt.sid
    assert call.body.decode() == (
        f"ToCountry=&ToState=&SmsMessageSid={sid}&NumMedia=0&ToCity=&FromZip=&SmsSid={sid}&FromState="
        f"&SmsStatus=received&FromCity=&Body=Yes+%26+no&FromCountry=US&To=55103&ToZip=&NumSegments=1&MessageSid={sid}"
        f"&AccountSid={ACCOUNT}&From=%2B15558675310&ApiVersion=2010-04-01"
    )
    assert call.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert RequestValidator(TOKEN).validate(call.url, MultiDict(call.pairs), call.headers["X-Twilio-Signature"])


async def test_a_sender_in_a_pool_names_its_service(twin: Twin, hook: Hook) -> None:
    await twin.inbound(PERSON, LONG, "Hi", extra={"FromCity": "SAN FRANCISCO"})
    assert (hook.calls[0].fields["MessagingServiceSid"], hook.calls[0].fields["FromCity"]) == (
        SERVICE,
        "SAN FRANCISCO",
    )


async def test_an_mms_carries_its_media(twin: Twin, hook: Hook, caller: Caller) -> None:
    receipt = await twin.inbound(PERSON, SHORT, "Look", media=["https://a.example/cat.jpg"])
    (call,) = hook.calls
    names = [name for name, _ in call.pairs]
    assert names[:3] == ["ToCountry", "MediaContentType0", "ToState"]
    assert names[-3:] == ["From", "MediaUrl0", "ApiVersion"]
    assert call.fields["MediaContentType0"] == "image/jpeg"
    assert call.fields["MediaUrl0"].startswith(f"https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Messages/MM")
    fetched = (await caller.get(f"/Messages/{receipt.sid}.json")).json
    assert (fetched["direction"], fetched["status"], fetched["num_media"]) == ("inbound", "received", "1")


async def test_a_whatsapp_message_has_profile_and_wa_id(twin: Twin, hook: Hook) -> None:
    await twin.inbound("whatsapp:" + PERSON, WHATSAPP, "Yes", extra={"ButtonText": "Yes", "ButtonPayload": "y"})
    fields = hook.calls[0].fields
    assert [name for name in fields if name not in ("ButtonText", "ButtonPayload")] == [
        "SmsMessageSid",
        "NumMedia",
        "ProfileName",
        "MessageType",
        "SmsSid",
        "WaId",
        "SmsStatus",
        "Body",
        "To",
        "NumSegments",
        "ReferralNumMedia",
        "MessageSid",
        "AccountSid",
        "From",
        "ApiVersion",
    ]
    assert (fields["WaId"], fields["From"], fields["ButtonPayload"]) == ("15558675310", "whatsapp:" + PERSON, "y")


async def test_freeform_whatsapp_needs_an_inbound_message_of_the_last_24_hours(twin: Twin, caller: Caller) -> None:
    async def send() -> tuple[str, int | None]:
        created = (await caller.create(From=WHATSAPP, To="whatsapp:" + PERSON)).json
        await twin.advance(1)
        fetched = (await caller.get(f"/Messages/{created['sid']}.json")).json
        return fetched["status"], fetched["error_code"]

    assert await send() == ("failed", 63016)
    await twin.inbound("whatsapp:" + PERSON, WHATSAPP, "Hi")
    assert await send() == ("delivered", None)
    await twin.advance(24 * 3600)
    assert await send() == ("failed", 63016)


async def test_a_twiml_answer_becomes_a_reply_in_the_books(twin: Twin, hook: Hook) -> None:
    hook.answers = [
        twiml(
            f'<Response><Message statusCallback="{hook.url("/reply")}">Thanks!</Message>'
            "<Message><Body>See</Body><Media>https://a.example/cat.jpg</Media></Message></Response>"
        )
    ]
    receipt = await twin.inbound(PERSON, SHORT, "Hello")
    await twin.advance(1)
    replies = list(twin.books.message_rows({"direction": "outbound-reply"}))
    assert [reply["sid"] for reply in replies] == list(receipt.replies)
    assert [(reply["body"], reply["from"], reply["to"], reply["status"]) for reply in replies] == [
        ("Thanks!", SHORT, PERSON, "delivered"),
        ("See", SHORT, PERSON, "delivered"),
    ]
    assert replies[1]["num_media"] == "1"
    assert [call.fields["MessageStatus"] for call in hook.calls[1:]] == ["sent", "delivered"]


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (web.Response(status=204), None),
        (twiml("<Response/>"), None),
        (twiml("<Response><Message>"), 12100),
        (twiml("<Answer/>"), 12102),
        (twiml("<Response><Dial/></Response>"), 14110),
        (twiml("<Response><Message></Message></Response>"), 14103),
        (twiml("<Response>" + "<Message>x</Message>" * 11 + "</Response>"), 14109),
        (twiml("<Response><!--" + "x" * 65_536 + "--></Response>"), 11750),
        (web.Response(text="{}", content_type="application/json"), 12300),
        (web.Response(status=500), 11200),
        ("reset", 11203),
    ],
)
async def test_mistakes_in_the_answer_are_alerts(answer: object, code: int | None, twin: Twin, hook: Hook) -> None:
    hook.answers = [answer]
    receipt = await twin.inbound(PERSON, SHORT, "Hello")
    assert (receipt.error_code, receipt.replies) == (code, ())
    assert [alert.code for alert in twin.books.alerts] == ([] if code is None else [code])


async def test_plain_text_is_sent_to_the_person_as_it_is(twin: Twin, hook: Hook) -> None:
    hook.answers = [web.Response(text="ok")]
    receipt = await twin.inbound(PERSON, SHORT, "Hello")
    (reply,) = twin.books.message_rows({"direction": "outbound-reply"})
    assert (reply["body"], receipt.replies) == ("ok", (reply["sid"],))


async def test_the_fallback_is_called_when_the_webhook_fails(hook: Hook) -> None:
    sender = SenderSettings(address=SHORT, inbound_url=hook.url("/first"), fallback_url=hook.url("/fallback"))
    async with Twin(settings(senders=(sender,), services=())) as twin:
        hook.answers = [500, twiml("<Response><Message>From the fallback</Message></Response>")]
        receipt = await twin.inbound(PERSON, SHORT, "Hello")
    assert receipt.called == (hook.url("/first"), hook.url("/fallback"))
    assert (receipt.error_code, len(receipt.replies)) == (None, 1)
    assert hook.calls[1].fields["ErrorCode"] == "11200"
    assert hook.calls[1].fields["ErrorUrl"] == hook.url("/first")


async def test_a_service_may_take_its_senders_messages(hook: Hook, twin: Twin) -> None:
    twin.exchange.directory.put_service(
        ServiceSettings(
            sid=SERVICE, senders=(LONG,), inbound_url=hook.url("/service"), use_inbound_webhook_on_number=False
        )
    )
    await twin.inbound(PERSON, LONG, "Hello")
    assert [call.url for call in hook.calls] == [hook.url("/service")]


async def test_inbound_webhooks_can_be_lost_or_doubled(twin: Twin, hook: Hook) -> None:
    twin.plan_faults(FaultSettings(callbacks=(CallbackFault(kind="duplicate", on="inbound"),)))
    await twin.inbound(PERSON, SHORT, "twice")
    await twin.settled()
    assert len(hook.calls) == 2
    assert len({call.headers["I-Twilio-Idempotency-Token"] for call in hook.calls}) == 1
    twin.plan_faults(FaultSettings(callbacks=(CallbackFault(kind="lose", on="inbound"),)))
    await twin.inbound(PERSON, SHORT, "never")
    assert len(hook.calls) == 2


async def test_to_a_sender_that_is_not_there_nothing_comes(twin: Twin) -> None:
    with pytest.raises(KeyError):
        await twin.inbound(PERSON, "+15550001111", "Hello")


async def test_a_stop_is_answered_posted_and_blocks_the_sender(twin: Twin, caller: Caller, hook: Hook) -> None:
    receipt = await twin.inbound(PERSON, LONG, " stop ")
    assert receipt.intent == "STOP"
    assert [call.fields["Body"] for call in hook.calls] == [" stop "]
    assert "OptOutType" not in hook.calls[0].fields
    (reply,) = twin.books.message_rows({"direction": "outbound-reply"})
    assert reply["body"] == (
        "You have successfully been unsubscribed. You will not receive any more messages from this number. "
        "Reply START to resubscribe."
    )
    blocked = await caller.create()
    assert (blocked.status, blocked.json["code"]) == (400, 21610)
    assert (await caller.create(To="+15558675311")).status == 201
    by_service = await caller.create(MessagingServiceSid=SERVICE)
    await twin.advance(1)
    assert by_service.status == 201
    fetched = (await caller.get(f"/Messages/{by_service.json['sid']}.json")).json
    assert (fetched["status"], fetched["error_code"]) == ("failed", 21610)
    await twin.inbound(PERSON, LONG, "START")
    assert (await caller.create()).status == 201


async def test_a_toll_free_stop_is_the_networks_and_sending_fails_with_30004(twin: Twin, caller: Caller) -> None:
    await twin.inbound(PERSON, TOLL_FREE, "stop")
    (reply,) = twin.books.message_rows({"direction": "outbound-reply"})
    assert str(reply["body"]).startswith("NETWORK MSG: You replied with the word")
    created = await caller.create(From=TOLL_FREE)
    await twin.advance(1)
    fetched = (await caller.get(f"/Messages/{created.json['sid']}.json")).json
    assert (created.status, fetched["status"], fetched["error_code"]) == (201, "failed", 30004)


async def test_advanced_opt_out_tells_the_webhook_what_it_did(twin: Twin, hook: Hook) -> None:
    twin.exchange.directory.put_service(ServiceSettings(sid=SERVICE, senders=(SHORT,), advanced_opt_out=True))
    for text in ("STOP", "START", "HELP", "stop it"):
        await twin.inbound(PERSON, SHORT, text)
    assert [call.fields.get("OptOutType") for call in hook.calls] == ["STOP", "START", "HELP", None]
