"""What follows from failures is in Kafka before the log says that it is."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from connectors.kafka.publisher import Position, PublisherClosed
from connectors.twilio.errors import ErrorPolicy
from schemas.codec import SingleObjectCodec
from schemas.records import Control
from schemas.topics import CONSENT, CONTROL, LIFECYCLE, deferral_topic
from streams.feedback.aftermath import DAY_AGAIN_MS, Aftermath
from streams.feedback.back_into_loop import HELD_MS, consequences
from streams.feedback.facts import fact_of
from streams.feedback.memory import Message
from tests.support.published import RecordingPublisher

from .facts import T, accepted, admitted, callback
from .test_back_into_loop import MG, by_service, failure

ERRORS = ErrorPolicy()
WHEEL = deferral_topic("1s")


class HoldingPublisher(RecordingPublisher):
    """Acknowledges a topic's records only when it is let go."""

    def __init__(self, topic: str) -> None:
        super().__init__()
        self.topic = topic
        self.let_go = asyncio.Event()

    def publish(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> asyncio.Future[Position]:
        done = super().publish(topic, value, key=key, partition=partition, headers=headers)
        if topic != self.topic:
            return done

        async def later() -> Position:
            await self.let_go.wait()
            return await done

        return asyncio.ensure_future(later())


def aftermath(publisher: RecordingPublisher, now_ms: int = T) -> Aftermath:
    return Aftermath(SingleObjectCodec(), publisher, ERRORS, now_ms=lambda: now_ms)


def topics(publisher: RecordingPublisher) -> list[str]:
    return [each.topic for each in publisher.records]


@pytest.mark.parametrize("held", [CONSENT, WHEEL])
async def test_that_a_message_goes_on_is_told_only_when_all_that_follows_is_acknowledged(held: str) -> None:
    publisher = HoldingPublisher(held)
    follows = consequences(failure(63003, fallback=True), ERRORS)
    writing = asyncio.create_task(aftermath(publisher).write(follows))
    await asyncio.sleep(0.05)
    assert sorted(topics(publisher)) == sorted([CONSENT, WHEEL]), "a successor finds no trace that all was written"
    publisher.let_go.set()
    await writing
    assert topics(publisher)[-1] == LIFECYCLE
    assert [each.key for each in publisher.records] == [b"+41791234567", b"+41791234567", b"m-1"]


async def test_what_cannot_be_written_is_no_quiet_loss() -> None:
    publisher = RecordingPublisher()
    publisher.failure = PublisherClosed("gone")
    with pytest.raises(PublisherClosed):
        await aftermath(publisher).write(consequences(by_service(21610), ERRORS))


async def test_a_lane_that_fails_for_many_messages_is_held_by_one_record_and_again_after_a_while() -> None:
    publisher = RecordingPublisher()
    writer = aftermath(publisher)
    for ms in (0, 1, 5, HELD_MS // 2 - 1):
        await writer.write(consequences(failure(30034, at=T + ms), ERRORS))
    assert topics(publisher) == [CONTROL]
    await writer.write(consequences(failure(30034, at=T + HELD_MS // 2), ERRORS))
    await writer.write(consequences(failure(30034, lane="other"), ERRORS))
    assert topics(publisher) == [CONTROL] * 3


async def test_a_day_that_a_carrier_has_enough_of_is_told_again_while_messages_fail_for_it() -> None:
    publisher = RecordingPublisher()
    writer = aftermath(publisher)
    for ms in (0, 1, DAY_AGAIN_MS - 1, DAY_AGAIN_MS, DAY_AGAIN_MS + 1):
        await writer.write(consequences(by_service(30023, at=T + ms), ERRORS, {"pool": "acme"}))
    told = [SingleObjectCodec().decode(each.value or b"") for each in publisher.records if each.topic == CONTROL]
    assert [each.at - T for each in told if isinstance(each, Control)] == [0, DAY_AGAIN_MS]


async def test_a_failure_of_long_ago_holds_nobody() -> None:
    publisher = RecordingPublisher()
    await aftermath(publisher, now_ms=T + HELD_MS).write(consequences(failure(30034), ERRORS))
    assert topics(publisher) == []


def test_a_failure_is_followed_once_here_and_not_where_it_was_told_before() -> None:
    def known(**later: Any) -> Message:
        message = Message("m-1")
        for fact in (admitted(sender=MG), accepted(), callback("failed", 50, error_code=21610, **later)):
            message.fold.add(fact_of(fact))
        return message

    writer, message = aftermath(RecordingPublisher()), known()
    assert writer.of(message) is not None
    assert writer.of(message) is None
    told = known()
    told.published = told.fold.update()
    assert writer.of(told) is None
    told.fold.add(fact_of(callback("undelivered", 60, error_code=30003)))
    assert writer.of(told) is not None, "it failed in another way"
