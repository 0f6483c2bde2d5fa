"""Errors about a person are on comms.consent before the message is finished, whoever finishes it."""

from __future__ import annotations

import pytest

from connectors.twilio.answers import Rejected
from connectors.twilio.errors import TwilioError, classify
from schemas.reasons import Reason
from schemas.records import Channel, Consent, ConsentChange, ConsentScope, MessageStatus
from schemas.topics import CONSENT, LIFECYCLE, deferral_topic

from .simulation import order
from .test_recovery import _crash_at
from .test_verdict import rejected
from .world import FakeTwilio, World, world


def told(here: World) -> list[Consent]:
    records: list[Consent] = here.told(CONSENT)
    return records


async def test_a_refused_opt_out_is_written_before_the_message_is_told_and_finished() -> None:
    async with world() as here:
        here.twilio.answer = lambda *_: rejected(21610)
        sent = order()
        record = here.take(sent)
        await here.until(lambda: record.finished)
        [consent] = told(here)
        assert (consent.change, consent.scope) == (ConsentChange.OPT_OUT, ConsentScope.SENDER)
        assert (consent.scope_value, consent.recipient) == (sent.sender, sent.recipient)
        assert (consent.evidence, consent.error_code, consent.account) == ("RQ1", 21610, "main")
        [written] = [each for each in here.kafka.records if each.topic == CONSENT]
        assert written.key == sent.recipient.encode()
        topics = [each.topic for each in here.kafka.records]
        assert topics.index(CONSENT) < topics.index(LIFECYCLE)


@pytest.mark.parametrize("code", [21606, 21617, 21408])
async def test_an_error_of_sender_or_message_says_nothing_about_the_person(code: int) -> None:
    async with world() as here:
        here.twilio.answer = lambda *_: rejected(code)
        record = here.take(order())
        await here.until(lambda: record.finished)
        assert told(here) == []


async def test_a_landline_is_told_of_and_its_message_goes_on_by_the_next_channel() -> None:
    async with world() as here:
        here.twilio.answer = lambda *_: rejected(21614)
        sent = order()
        sent.fallback_channels = [Channel.WHATSAPP]
        record = here.take(sent)
        await here.until(lambda: record.finished)
        [consent] = told(here)
        assert (consent.change, consent.scope, consent.scope_value) == (
            ConsentChange.SUPPRESS,
            ConsentScope.CHANNEL,
            "sms",
        )
        [deferral] = here.told(deferral_topic("1s"))
        assert (deferral.reason, deferral.round) == (Reason.CHANNEL_FAILED, 1)
        assert [event.status for event in here.told()] == [MessageStatus.DEFERRED]
        topics = [each.topic for each in here.kafka.records]
        assert topics.index(CONSENT) < topics.index(deferral_topic("1s"))


@pytest.mark.parametrize("left", [[], [Channel.WHATSAPP]])
async def test_who_was_suppressed_since_the_decision_is_asked_about_by_the_next_channel_if_there_is_one(
    left: list[Channel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.dispatch.sending.last_look", lambda *_: Reason.SUPPRESSED)
    async with world() as here:
        sent = order()
        sent.fallback_channels = left
        record = here.take(sent)
        await here.until(lambda: record.finished)
        assert here.twilio.posts == []
        reasons = [deferral.reason for deferral in here.told(deferral_topic("1s"))]
        assert reasons == ([Reason.CHANNEL_FAILED] if left else [])


async def test_what_our_own_check_refused_is_twilios_word_about_nobody() -> None:
    async with world() as here:
        here.twilio.answer = lambda *_: Rejected(TwilioError(21211, "To: no number", None, classify(21211)))
        record = here.take(order())
        await here.until(lambda: record.finished)
        assert told(here) == []


@pytest.mark.parametrize("step", [CONSENT, LIFECYCLE])
async def test_a_crash_after_the_result_leaves_it_to_the_successor_under_the_same_id(step: str) -> None:
    sent, twilio = order(), FakeTwilio()
    twilio.answer = lambda *_: rejected(21610)
    kafka = await _crash_at(lambda record: record.topic == step, sent, twilio)
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        await here.until(lambda: record.finished)
        assert len(twilio.posts) == 1
        assert {consent.consent_id for consent in told(here)} == {told(here)[0].consent_id}
        assert {consent.at for consent in told(here)} == {told(here)[0].at}
        assert len(told(here)) == (1 if step == CONSENT else 2)
        assert here.ends()[sent.message_id].status is MessageStatus.FAILED


async def test_a_message_is_not_finished_while_its_consent_record_is_unacknowledged() -> None:
    sent, twilio = order(), FakeTwilio()
    twilio.answer = lambda *_: rejected(21211)
    kafka = await _crash_at(lambda record: record.topic == CONSENT, sent, twilio)
    assert not [each for each in kafka.records if each.topic == LIFECYCLE]
