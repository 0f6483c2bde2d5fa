"""A process was frozen, its partitions went to another, and it wakes up: what it writes into the attempts log then, and
what comes of it at the next change of owner."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from connectors.kafka.publisher import Position
from schemas.records import Attempt, AttemptKind, AttemptOutcome, Dispatch, DoubtPolicy, Follows, MessageStatus
from schemas.topics import ATTEMPTS, dispatch_topic
from tests.support.published import RecordingPublisher

from .simulation import order
from .world import CODEC, PARTITION, FakeTwilio, World, sent_message, sid, wall_ms, world


def write(
    kafka: RecordingPublisher,
    sent: Dispatch,
    kind: AttemptKind,
    owner: str,
    *,
    attempt: int = 1,
    at: int | None = None,
    partition: int = PARTITION,
    **fields: Any,
) -> None:
    """A record of an attempt of a message, of now or of another time."""
    record = Attempt(
        kind=kind,
        message_id=sent.message_id,
        round=0,
        attempt=attempt,
        source_topic=dispatch_topic(sent.message_class),
        source_offset=0,
        at=wall_ms() if at is None else at,
        lane=sent.lane,
        account=sent.account,
        recipient=sent.recipient,
        segments=1,
        owner=owner,
        **fields,
    )
    kafka.publish(ATTEMPTS, CODEC.encode(record), key=sent.message_id.encode(), partition=partition)


async def test_what_it_did_not_start_hides_no_post_of_its_successor() -> None:
    """Its INTENT was on its way when it froze, so the successor had not read it and used the same number."""
    sent, twilio, kafka = order(), FakeTwilio(), RecordingPublisher()
    write(kafka, sent, AttemptKind.INTENT, "successor")
    twilio.kept.append(sent_message(sent, 1))  # and the successor's answer is lost
    write(kafka, sent, AttemptKind.INTENT, "frozen")
    not_started: dict[str, Any] = {"outcome": AttemptOutcome.NOT_STARTED, "follows": Follows.RETRY}
    write(kafka, sent, AttemptKind.RESULT, "frozen", **not_started)
    async with world(kafka=kafka, twilio=twilio) as third:
        record = third.take(sent)
        await third.until(lambda: record.finished)
        assert twilio.posts == []
        assert [event.sid for event in third.told()] == [sid(1)]


async def test_an_answer_that_comes_late_does_not_end_a_message_whose_text_was_taken_for_an_equal_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.dispatch.doubts.SIBLINGS_WITHIN_S", 0.0)
    twilio, kafka = FakeTwilio(), RecordingPublisher()
    given, taken = order(body="same"), order(body="same")
    for sent in (given, taken):
        write(kafka, sent, AttemptKind.INTENT, "frozen")
    twilio.kept.append(sent_message(taken, 9))
    async with world(kafka=kafka, twilio=twilio) as successor:
        first = successor.take(given)
        await successor.until(lambda: first.finished)
        assert [event.sid for event in successor.told()] == [sid(9)]
        # It goes before the other one's record has come to it; and now the answer is written that was lost.
        successor.engine.drop()
    accepted: dict[str, Any] = {"outcome": AttemptOutcome.ACCEPTED, "final_status": MessageStatus.ACCEPTED.value}
    answer: dict[str, Any] = {"sid": sid(9), "request_id": "RQ9", "twilio_date": wall_ms()}
    write(kafka, taken, AttemptKind.RESULT, "frozen", follows=Follows.FINAL, **accepted, **answer)
    async with world(kafka=kafka, twilio=twilio) as third:
        record = third.take(taken)
        await third.until(lambda: record.finished)
    assert len(twilio.kept) == 2, "two were asked for"
    assert {event.message_id: event.sid for event in third.told()}[taken.message_id] != sid(9)


class FreezingKafka(RecordingPublisher):
    """After the first RESULT the process is frozen; when it wakes, its lease has ended."""

    here: World

    def publish(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> asyncio.Future[Position]:
        record = CODEC.decode(value or b"")
        if isinstance(record, Attempt) and record.kind is AttemptKind.RESULT:
            self.here.allowed = False
        return super().publish(topic, value, key=key, partition=partition, headers=headers)


async def test_it_concludes_no_more_of_what_it_read_in_twilios_list_before() -> None:
    """A successor may have given the same texts away otherwise."""
    twilio, kafka = FakeTwilio(), FreezingKafka()
    messages = [order(body="same") for _ in range(3)]
    for number, sent in enumerate(messages):
        write(kafka, sent, AttemptKind.INTENT, "dead")
        twilio.kept.append(sent_message(sent, number))
    async with world(kafka=kafka, twilio=twilio) as here:
        kafka.here = here
        for sent in messages:
            here.take(sent)
        await here.until(lambda: not here.allowed)
        await asyncio.sleep(0.2)
        kinds = Counter(kind for kind, _, _ in here.attempts())
        assert kinds == {"intent": 3, "result": 1}


@pytest.mark.parametrize("begun", [False, True], ids=["before an attempt", "after its intent"])
async def test_it_does_not_declare_expired_what_its_successor_may_have_sent_in_time(begun: bool) -> None:
    sent, kafka = order(deadline=wall_ms() + 200), RecordingPublisher()
    async with world(kafka=kafka) as here:
        here.allowed = False
        record = here.take(sent)
        if begun:
            here.engine.sender._log.intent(here.engine.tenure.held[sent.message_id, 0])
        await here.until(lambda: not here.engine.scheduler.next_expiry_ms())
        await asyncio.sleep(0.1)
        assert here.told() == []
        assert not record.finished
        here.allowed = True  # its lease was only late: the partitions are still its own
        await here.until(lambda: record.finished)
        assert [event.status for event in here.told()] == [MessageStatus.EXPIRED]


async def test_it_does_not_declare_unknown_what_its_successor_may_have_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.dispatch.doubts.LISTINGS", dict.fromkeys(DoubtPolicy, 1))
    sent, twilio, kafka = order(doubt_policy=DoubtPolicy.STOP), FakeTwilio(), FreezingKafka()
    write(kafka, sent, AttemptKind.INTENT, "dead", at=wall_ms() - 5_000)
    async with world(kafka=kafka, twilio=twilio) as here:
        kafka.here = here
        record = here.take(sent)
        await here.until(lambda: not here.allowed)
        await asyncio.sleep(0.1)
        assert here.told() == []
        assert not record.finished
