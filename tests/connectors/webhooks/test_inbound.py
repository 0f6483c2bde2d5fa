from __future__ import annotations

from typing import Any

import pytest

from connectors.twilio.keywords import KeywordPacks
from connectors.webhooks.form import Malformed
from connectors.webhooks.inbound import consents_of, read_inbound
from schemas.records import (
    Channel,
    Consent,
    ConsentChange,
    ConsentScope,
    ConsentSource,
    Inbound,
    InboundMedia,
    KeywordIntent,
)
from tests.connectors.webhooks.calls import ACCOUNT_SID, NOW_MS, SERVICE_SID, SID, inbound_form


def read(packs: KeywordPacks | None = None, **changes: Any) -> Inbound:
    return read_inbound(inbound_form(**changes), account="main", token="tok", now_ms=NOW_MS, packs=packs)


def test_a_text_becomes_a_record_with_the_person_as_recipient() -> None:
    assert read() == Inbound(
        sid=SID,
        account_sid=ACCOUNT_SID,
        account="main",
        recipient="+14155550123",
        channel=Channel.SMS,
        sender="+14155550100",
        body="Thanks, see you",
        idempotency_token="tok",
        received_at=NOW_MS,
        params={
            "ToCountry": "US",
            "ToState": "CA",
            "SmsMessageSid": SID,
            "ToCity": "",
            "FromZip": "",
            "SmsSid": SID,
            "FromState": "NY",
            "SmsStatus": "received",
            "FromCity": "",
            "FromCountry": "US",
            "ToZip": "",
            "ApiVersion": "2010-04-01",
        },
    )


def test_media_make_an_mms() -> None:
    message = read(
        NumMedia="2", Body="", MediaUrl0="https://m/0", MediaContentType0="image/png", MediaUrl1="https://m/1"
    )

    assert message.channel is Channel.MMS
    assert message.media == [InboundMedia(url="https://m/0", content_type="image/png"), InboundMedia(url="https://m/1")]
    assert message.body == ""


def test_whatsapp_fields_have_their_places_and_the_prefix_is_stripped() -> None:
    message = read(
        From="whatsapp:+5511900001234",
        To="whatsapp:+14155550100",
        ProfileName="Ana",
        WaId="5511900001234",
        ButtonPayload="yes-1",
        ButtonText="Yes",
        Latitude="-23.55",
        Longitude="-46.63",
        OriginalRepliedMessageSid="SM2",
        MessageType="button",
        MediaUrl0="https://m/0",
    )

    assert (message.channel, message.recipient, message.sender) == (Channel.WHATSAPP, "+5511900001234", "+14155550100")
    assert (message.profile_name, message.wa_id) == ("Ana", "5511900001234")
    assert (message.button_payload, message.button_text) == ("yes-1", "Yes")
    assert (message.latitude, message.longitude) == (-23.55, -46.63)
    assert message.replied_to_sid == "SM2"
    assert message.params["MessageType"] == "button"


def test_another_channels_raw_addresses_are_kept() -> None:
    message = read(From="rcs:+14155550123", To="rcs:acme_agent")

    assert (message.recipient, message.sender) == ("+14155550123", "acme_agent")
    assert (message.params["From"], message.params["To"]) == ("rcs:+14155550123", "rcs:acme_agent")


@pytest.mark.parametrize("value", ["north", "inf", "nan", "1e400", ""])
def test_a_coordinate_that_is_none_stays_among_the_unknown(value: str) -> None:
    message = read(Latitude=value)

    assert message.latitude is None
    assert message.params["Latitude"] == value


@pytest.mark.parametrize(
    "changes",
    [
        {"From": ""},
        {"To": None},
        {"From": "whatsapp:"},
        {"From": "+" + "1" * 100},
        {"MessageSid": "x", "SmsSid": "x", "SmsMessageSid": "x"},
        {"AccountSid": ""},
    ],
)
def test_a_message_without_sid_or_addresses_is_malformed(changes: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read(**changes)


@pytest.mark.parametrize(
    ("body", "intent", "keyword"),
    [
        ("stop", KeywordIntent.STOP, "STOP"),
        (" Unsubscribe ", KeywordIntent.STOP, "UNSUBSCRIBE"),
        ("YES", KeywordIntent.START, "YES"),
        ("help", KeywordIntent.HELP, "HELP"),
        ("STOP PLEASE", None, None),
    ],
)
def test_a_keyword_gives_the_message_its_intent(body: str, intent: KeywordIntent | None, keyword: str | None) -> None:
    message = read(Body=body)

    assert (message.keyword_intent, message.keyword) == (intent, keyword)


def test_yes_to_a_toll_free_number_is_no_start() -> None:
    assert read(Body="YES", To="+18335550100").keyword_intent is None


@pytest.mark.parametrize(
    ("body", "opt_out_type", "intent"),
    [
        ("ARRET", "STOP", KeywordIntent.STOP),
        ("STOP", "HELP", KeywordIntent.HELP),
        ("YES", "START", KeywordIntent.START),
        ("info", "Stop", KeywordIntent.STOP),
        ("stop", "NEWTYPE", KeywordIntent.STOP),
    ],
)
def test_what_advanced_opt_out_found_beats_our_own_matching(
    body: str, opt_out_type: str, intent: KeywordIntent
) -> None:
    message = read(Body=body, OptOutType=opt_out_type)

    assert (message.keyword_intent, message.opt_out_type) == (intent, opt_out_type)


def test_other_packs_may_be_configured() -> None:
    packs = KeywordPacks({"de": {"stop": ["STOPP"]}})

    assert read(packs, Body="stopp").keyword_intent is KeywordIntent.STOP
    assert read(packs, Body="stop").keyword_intent is None


def test_a_stop_to_a_number_opts_out_of_that_sender() -> None:
    [consent] = consents_of(read(Body="Stop"))

    assert consent == Consent(
        consent_id=consent.consent_id,
        recipient="+14155550123",
        change=ConsentChange.OPT_OUT,
        scope=ConsentScope.SENDER,
        scope_value="+14155550100",
        source=ConsentSource.KEYWORD,
        account="main",
        evidence=SID,
        keyword="STOP",
        at=NOW_MS,
    )


@pytest.mark.parametrize(("word", "change"), [("Stop", ConsentChange.OPT_OUT), ("Start", ConsentChange.OPT_IN)])
def test_a_keyword_to_a_number_of_a_messaging_service_concerns_the_service_and_the_number(
    word: str, change: ConsentChange
) -> None:
    of_service, of_number = consents_of(read(Body=word, MessagingServiceSid=SERVICE_SID))

    assert (of_service.scope, of_service.scope_value) == (ConsentScope.MESSAGING_SERVICE, SERVICE_SID)
    assert (of_number.scope, of_number.scope_value) == (ConsentScope.SENDER, "+14155550100")
    assert of_service.change is of_number.change is change
    assert of_service.evidence == of_number.evidence == SID
    assert of_service.consent_id != of_number.consent_id


@pytest.mark.parametrize("service", [None, SERVICE_SID])
def test_a_start_opts_in_and_its_repeat_has_the_same_ids(service: str | None) -> None:
    once = consents_of(read(Body="start", MessagingServiceSid=service))
    again = consents_of(read(Body="start", MessagingServiceSid=service))
    other = consents_of(read(Body="start", MessageSid="SM" + "2" * 32, MessagingServiceSid=service))

    assert {each.change for each in once} == {ConsentChange.OPT_IN}
    assert [each.consent_id for each in once] == [each.consent_id for each in again]
    assert not {each.consent_id for each in once} & {each.consent_id for each in other}


@pytest.mark.parametrize("changes", [{}, {"Body": "HELP"}, {"Body": "x", "OptOutType": "HELP"}])
def test_help_and_plain_texts_change_no_consent(changes: dict[str, Any]) -> None:
    assert consents_of(read(**changes)) == ()


def test_a_stop_on_whatsapp_names_the_sender_without_its_prefix() -> None:
    [consent] = consents_of(read(Body="stop", From="whatsapp:+5511900001234", To="whatsapp:+14155550100"))

    assert (consent.recipient, consent.scope_value) == ("+5511900001234", "+14155550100")
