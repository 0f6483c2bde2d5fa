"""When a doubt ends, and by what."""

from __future__ import annotations

import asyncio

import pytest

from connectors.twilio.answers import Unavailable
from schemas.reasons import Reason
from schemas.records import AttemptKind, DoubtPolicy, MessageStatus
from tests.support.published import RecordingPublisher

from .simulation import order
from .test_woken_process import write
from .world import FakeTwilio, sent_message, sid, wall_ms, world

AN_HOUR_MS = 3_600_000


async def test_a_doubt_that_is_old_already_when_its_successor_starts_is_looked_up_before_anything_is_sent_again() -> (
    None
):
    """Nobody dispatched for an hour, and Twilio's list cannot be had at first."""
    sent, twilio, kafka = order(doubt_policy=DoubtPolicy.RESEND), FakeTwilio(), RecordingPublisher()
    intent_at = wall_ms() - AN_HOUR_MS
    write(kafka, sent, AttemptKind.INTENT, "dead", at=intent_at)
    twilio.kept.append(sent_message(sent, 1, at_ms=intent_at))
    twilio.unlisted = Unavailable("HTTP 503")
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        await here.until(lambda: twilio.lists)
        await asyncio.sleep(0.05)
        assert not record.finished
        twilio.unlisted = None
        await here.until(lambda: record.finished)
        assert twilio.posts == []
        assert [event.sid for event in here.told()] == [sid(1)]


@pytest.mark.parametrize("unlisted", [Unavailable("HTTP 503"), None], ids=["none can be had", "more than it may hold"])
async def test_without_one_complete_list_a_doubt_ends_as_unknown_whatever_the_category_says(
    unlisted: Unavailable | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.dispatch.doubts.DOUBT_ENDS_AFTER_S", 0.5)
    monkeypatch.setattr("streams.dispatch.doubts.TRY_AGAIN_S", 0.1)
    monkeypatch.setattr("streams.dispatch.doubts.LIST_AGAIN_S", 0.1)
    sent, twilio, kafka = order(doubt_policy=DoubtPolicy.RESEND), FakeTwilio(), RecordingPublisher()
    twilio.unlisted, twilio.complete = unlisted, False
    write(kafka, sent, AttemptKind.INTENT, "dead")
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        await here.until(lambda: record.finished)
        assert len(twilio.lists) > 1, "it was asked until the end"
        assert twilio.posts == []
        [event] = here.told()
        assert (event.status, event.reason) == (MessageStatus.UNKNOWN, Reason.IN_DOUBT)
