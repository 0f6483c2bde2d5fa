"""Crashes and repeats, each at its step: what the successor does with what the log says."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from operator import attrgetter
from typing import Any, ClassVar

import pytest

from connectors.kafka.publisher import Position
from connectors.twilio.answers import Answer, InDoubt, Unavailable
from schemas.reasons import Reason
from schemas.records import Attempt, AttemptKind, Dispatch, DoubtPolicy, Follows, MessageStatus
from schemas.topics import ATTEMPTS, LIFECYCLE
from streams.dispatch.matching import CLOCKS_APART_MS
from streams.dispatch.reception import LATE_MS
from tests.support.kafka import Outgoing
from tests.support.published import RecordingPublisher

from .simulation import order
from .test_verdict import rejected
from .world import CODEC, SETTLE_S, FakeTwilio, World, histories_of, sent_message, sid, wall_ms, world


class DyingKafka(RecordingPublisher):
    """Acknowledges until a record for which `dies` is true: that one, and all after it, are never written."""

    def __init__(self, dies: Callable[[Outgoing], bool] = lambda record: False) -> None:
        super().__init__()
        self.dies = dies
        self.dead = asyncio.Event()

    def publish(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> asyncio.Future[Position]:
        if self.dead.is_set() or self.dies(Outgoing(topic, value, key, partition, tuple(headers))):
            self.dead.set()
            return asyncio.get_running_loop().create_future()
        return super().publish(topic, value, key=key, partition=partition, headers=headers)

    def revive(self) -> DyingKafka:
        self.dead.clear()
        self.dies = lambda record: False
        return self


def _attempt(record: Outgoing) -> Attempt | None:
    decoded = CODEC.decode(record.value or b"") if record.topic == ATTEMPTS else None
    return decoded if isinstance(decoded, Attempt) else None


def _is_intent(record: Outgoing) -> bool:
    attempt = _attempt(record)
    return attempt is not None and attempt.kind is AttemptKind.INTENT


def _is_result(record: Outgoing) -> bool:
    attempt = _attempt(record)
    return attempt is not None and attempt.kind is AttemptKind.RESULT


async def _crash_at(step: Callable[[Outgoing], bool], sent: Dispatch, twilio: FakeTwilio) -> DyingKafka:
    """Run a process until it dies at a step. Returns the log that it leaves."""
    kafka = DyingKafka(step)
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        await asyncio.wait_for(kafka.dead.wait(), 10)
        await asyncio.sleep(0.05)
        assert not record.finished
        here.engine.drop()
    return kafka.revive()


def _once(status: MessageStatus, here: World, message_id: str) -> None:
    told = [event for event in here.told() if event.message_id == message_id]
    assert {event.status for event in told} == {status}
    assert len({event.event_id for event in told}) == 1, "repeats carry the same id"


# -- crash, step by step


async def test_before_its_intent_is_written_a_message_is_simply_sent() -> None:
    sent, twilio = order(), FakeTwilio()
    kafka = await _crash_at(_is_intent, sent, twilio)
    assert twilio.posts == []
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        await here.until(lambda: record.finished)
        assert len(twilio.posts) == 1
        _once(MessageStatus.ACCEPTED, here, sent.message_id)


async def test_between_post_and_result_twilio_is_asked_and_nothing_is_sent_again() -> None:
    sent, twilio = order(), FakeTwilio()
    kafka = await _crash_at(_is_result, sent, twilio)
    assert len(twilio.posts) == 1
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        await here.until(lambda: record.finished)
        assert len(twilio.posts) == 1
        assert twilio.lists == [sent.recipient]
        _once(MessageStatus.ACCEPTED, here, sent.message_id)
        assert here.told()[0].sid == sid(1)


async def test_between_intent_and_post_twilio_is_asked_and_the_message_is_sent_under_its_next_number() -> None:
    sent, twilio = order(), FakeTwilio()
    kafka = DyingKafka()
    async with world(kafka=kafka, twilio=twilio) as here:
        here.engine.scheduler.pauses.trip_account("main", 0.0, "hold", at_least_s=1e9)
        here.take(sent)
        job = here.engine.tenure.held[sent.message_id, 0]
        here.engine.sender._log.intent(job)
        kafka.dead.set()
        here.engine.drop()
    async with world(kafka=kafka.revive(), twilio=twilio) as here:
        record = here.take(sent)
        await here.until(lambda: record.finished)
        assert [attempt for _, attempt, _ in twilio.posts] == [2]
        assert here.attempts() == [
            ("intent", "", 1),
            ("result", "in_doubt", 1),
            ("intent", "", 2),
            ("result", "accepted", 2),
        ]


async def test_between_a_final_result_and_its_story_the_story_is_told_and_nothing_sent() -> None:
    sent, twilio = order(), FakeTwilio()
    kafka = await _crash_at(lambda record: record.topic == LIFECYCLE, sent, twilio)
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        await here.until(lambda: record.finished)
        assert len(twilio.posts) == 1
        assert twilio.lists == []
        _once(MessageStatus.ACCEPTED, here, sent.message_id)
        assert here.told()[0].sid == sid(1)


async def test_between_the_story_and_the_commit_the_story_is_told_again_under_the_same_id() -> None:
    sent, twilio, kafka = order(), FakeTwilio(), DyingKafka()
    for _ in range(2):
        async with world(kafka=kafka, twilio=twilio) as here:
            await here.until(partial(attrgetter("finished"), here.take(sent)))
            here.engine.drop()
    assert len(twilio.posts) == 1
    assert len(here.told()) == 2
    _once(MessageStatus.ACCEPTED, here, sent.message_id)


async def test_between_a_result_that_says_retry_and_the_retry_the_next_attempt_is_made() -> None:
    sent, twilio = order(), FakeTwilio()
    twilio.answer = lambda each, attempt, number: (
        rejected(20429, 429, retry_after_s=0.5) if attempt == 1 else twilio.accepted(each, number)
    )
    seen = [0]

    def second_intent(record: Outgoing) -> bool:
        seen[0] += _is_intent(record)
        return seen[0] == 2

    kafka = await _crash_at(second_intent, sent, twilio)
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        await here.until(lambda: record.finished)
        assert [attempt for _, attempt, _ in twilio.posts] == [1, 2]
        assert twilio.lists == []


async def test_after_a_crash_a_retry_is_not_made_before_its_time() -> None:
    sent, twilio, kafka = order(), FakeTwilio(), DyingKafka()
    twilio.answer = lambda *_: rejected(20429, 429, retry_after_s=30.0)
    async with world(kafka=kafka, twilio=twilio) as here:
        here.take(sent)
        await here.until(lambda: any(kind == "result" for kind, _, _ in here.attempts()))
        here.engine.drop()
    async with world(kafka=kafka, twilio=twilio) as here:
        here.take(sent)
        await here.until(lambda: here.scheduler.held)
        await asyncio.sleep(0.1)
        assert len(twilio.posts) == 1
        assert here.scheduler.next_at() > time.monotonic() + 10.0


async def test_throttled_retried_accepted_crash_is_not_sent_a_third_time() -> None:
    sent, twilio = order(), FakeTwilio()
    twilio.answer = lambda each, attempt, number: (
        rejected(20429, 429) if attempt == 1 else twilio.accepted(each, number)
    )
    results = [0]

    def second_result(record: Outgoing) -> bool:
        results[0] += _is_result(record)
        return results[0] == 2

    kafka = await _crash_at(second_result, sent, twilio)
    assert len(twilio.posts) == 2
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        await here.until(lambda: record.finished)
        assert len(twilio.posts) == 2
        _once(MessageStatus.ACCEPTED, here, sent.message_id)


async def test_between_a_result_that_says_wheel_and_the_wheel_record_that_record_is_written() -> None:
    """Also where nothing speaks against sending it by then: that record may have been written, and policy sends it."""
    sent, twilio = order(), FakeTwilio()
    twilio.answer = lambda each, attempt, number: (
        rejected(20429, 429, retry_after_s=60.0) if attempt == 1 else twilio.accepted(each, number)
    )
    kafka = await _crash_at(lambda record: record.topic.startswith("comms.deferred."), sent, twilio)
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        await here.until(lambda: record.finished)
        assert len(twilio.posts) == 1
        [back] = here.told("comms.deferred.1s") + here.told("comms.deferred.10s") + here.told("comms.deferred.1m")
        assert back.round == 1


async def test_a_message_refused_by_twilio_stays_refused_after_a_crash() -> None:
    sent, twilio = order(), FakeTwilio()
    twilio.answer = lambda *_: rejected(21610)
    kafka = await _crash_at(lambda record: record.topic == LIFECYCLE, sent, twilio)
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        await here.until(lambda: record.finished)
        assert len(twilio.posts) == 1
        _once(MessageStatus.FAILED, here, sent.message_id)
        assert (here.told()[0].error_code, here.told()[0].error_class) == (21610, "recipient")


# -- doubt


def _lost(twilio: FakeTwilio, *, accepted: Callable[[int], bool]) -> Callable[[Dispatch, int, int], Answer]:
    """The answer to every first attempt is lost; whether Twilio has the message is told by its number."""

    def answer(sent: Dispatch, attempt: int, number: int) -> Answer:
        if attempt > 1:
            return twilio.accepted(sent, number)
        if accepted(number):
            twilio.kept.append(sent_message(sent, number))
        return InDoubt("timeout")

    return answer


async def test_a_lost_answer_is_looked_up_after_twilio_has_settled() -> None:
    async with world() as here:
        here.twilio.answer = _lost(here.twilio, accepted=lambda number: True)
        began = wall_ms()
        record = here.take(order())
        await here.until(lambda: record.finished)
        assert wall_ms() - began >= SETTLE_S * 1000
        assert len(here.twilio.posts) == 1
        assert here.told()[0].status is MessageStatus.ACCEPTED
        assert here.attempts() == [("intent", "", 1), ("result", "accepted", 1)]


async def test_a_lost_answer_of_a_message_twilio_does_not_have_is_sent_again_where_the_category_says_so() -> None:
    async with world() as here:
        here.twilio.answer = _lost(here.twilio, accepted=lambda number: False)
        record = here.take(order(doubt_policy=DoubtPolicy.RESEND))
        await here.until(lambda: record.finished)
        assert [attempt for _, attempt, _ in here.twilio.posts] == [1, 2]
        assert len(here.twilio.kept) == 1


async def test_a_lost_answer_is_never_repeated_where_the_category_says_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.dispatch.doubts.LIST_AGAIN_S", 0.3)
    async with world() as here:
        here.twilio.answer = _lost(here.twilio, accepted=lambda number: False)
        record = here.take(order(doubt_policy=DoubtPolicy.STOP))
        await here.until(lambda: record.finished)
        assert len(here.twilio.posts) == 1
        assert len(here.twilio.lists) == 2, "a list may lag: it is asked twice"
        [event] = here.told()
        assert (event.status, event.reason) == (MessageStatus.UNKNOWN, Reason.IN_DOUBT)


async def test_after_its_deadline_a_message_in_doubt_is_not_sent_again() -> None:
    async with world() as here:
        here.twilio.answer = _lost(here.twilio, accepted=lambda number: False)
        record = here.take(order(deadline=wall_ms() + 500, doubt_policy=DoubtPolicy.RESEND))
        await here.until(lambda: record.finished)
        assert len(here.twilio.posts) == 1
        assert here.told()[0].status is MessageStatus.UNKNOWN


async def test_two_equal_texts_to_one_person_in_doubt_of_which_one_arrived_are_sent_once_more_in_all() -> None:
    async with world() as here:
        here.twilio.answer = _lost(here.twilio, accepted=lambda number: number == 1)
        records = [here.take(order(body="same")) for _ in range(2)]
        await here.until(lambda: all(record.finished for record in records))
        assert len(here.twilio.kept) == 2
        assert Counter(attempt for _, attempt, _ in here.twilio.posts) == {1: 2, 2: 1}
        assert len({event.sid for event in here.told()}) == 2


async def test_a_sid_that_another_message_has_claimed_is_not_taken_for_the_lost_one() -> None:
    async with world() as here:
        first = here.take(order(body="same"))
        await here.until(lambda: first.finished)
        here.twilio.answer = _lost(here.twilio, accepted=lambda number: False)
        second = here.take(order(body="same"))
        await here.until(lambda: second.finished)
        assert len(here.twilio.kept) == 2, "the first one's message does not prove the second"
        assert len({event.sid for event in here.told()}) == 2


async def test_an_equal_text_of_a_minute_ago_is_not_taken_for_the_lost_one_when_the_list_took_its_time() -> None:
    """The list's date is as old as the answer took, and Twilio's clock is told by it: what a message may match reaches
    back by so much more, and so must what is read of SIDs that are taken."""
    twilio, kafka = FakeTwilio(), DyingKafka()
    async with world(kafka=kafka, twilio=twilio) as here:
        first = here.take(order(body="same"))
        await here.until(lambda: first.finished)
    a_minute_ago = CLOCKS_APART_MS + 1_500
    twilio.kept = [replace(each, date_created_ms=wall_ms() - a_minute_ago) for each in twilio.kept]
    for place, each in enumerate(kafka.records):
        attempt = _attempt(each)
        if attempt is not None:
            attempt.at -= a_minute_ago
            kafka.records[place] = each._replace(value=CODEC.encode(attempt))
    twilio.late_ms = 3_000
    twilio.answer = _lost(twilio, accepted=lambda number: number > 2)
    async with world(kafka=kafka, twilio=twilio) as here:
        second = here.take(order(body="same"))
        await here.until(lambda: second.finished)
    assert len(twilio.kept) == 2
    assert len({event.sid for event in here.told()}) == 2


async def test_a_list_is_not_read_while_a_post_to_that_person_is_under_way() -> None:
    """Else a message of that POST could be taken for the lost one, and the lost one never be sent."""
    async with world() as here:
        here.twilio.answer = _lost(here.twilio, accepted=lambda number: False)
        lost = here.take(order(body="same"))
        await here.until(lambda: len(here.engine.doubts) == 1)
        here.twilio.hold = asyncio.Event()
        other = here.take(order(body="same"))
        await here.until(lambda: len(here.twilio.posts) == 2)
        # Twilio has the other one already; only its answer is still to come.
        here.twilio.kept.append(sent_message(here.twilio.posts[1][0], 2))
        here.twilio.answer = lambda sent, attempt, number: (
            replace(here.twilio.accepted(sent, number)) if number > 2 else _answer_of(sent, number)
        )
        await asyncio.sleep(SETTLE_S + 1.5)
        assert here.twilio.lists == []
        here.twilio.hold.set()
        await here.until(lambda: lost.finished and other.finished)
        assert [attempt for _, attempt, _ in here.twilio.posts] == [1, 1, 2]
        assert {event.sid for event in here.told()} == {sid(2), sid(3)}


def _answer_of(sent: Dispatch, number: int) -> Answer:
    return FakeTwilio().accepted(sent, number)


async def test_a_list_that_cannot_be_had_is_asked_for_again() -> None:
    async with world() as here:
        here.twilio.unlisted = Unavailable("HTTP 503")
        here.twilio.answer = _lost(here.twilio, accepted=lambda number: True)
        record = here.take(order())
        await here.until(lambda: here.twilio.lists)
        assert not record.finished
        here.twilio.unlisted = None
        await here.until(lambda: record.finished)
        assert len(here.twilio.posts) == 1


async def test_an_answer_that_a_former_owner_wrote_late_settles_the_doubt_without_asking_twilio() -> None:
    sent, twilio = order(), FakeTwilio()
    kafka = await _crash_at(_is_result, sent, twilio)
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        await here.until(lambda: len(here.engine.doubts) == 1)
        # The former owner was only slow: its RESULT lands now.
        intent = next(each for each in here.told(ATTEMPTS) if each.kind is AttemptKind.INTENT)
        intent.kind, intent.follows, intent.final_status = AttemptKind.RESULT, Follows.FINAL, "failed"
        intent.reason = Reason.REJECTED_BY_TWILIO.value
        kafka.publish(ATTEMPTS, CODEC.encode(intent), key=b"", partition=0)
        await here.until(lambda: record.finished)
        assert twilio.lists == []
        _once(MessageStatus.FAILED, here, sent.message_id)


# -- repeats


@pytest.mark.parametrize("again", [True, False])
async def test_two_copies_queued_before_either_has_an_intent_are_sent_once(again: bool) -> None:
    async with world() as here:
        held = here.scheduler.accounts["main"].breaker
        held.paused = True
        sent = order()
        copies = [here.take(sent), here.take(replace_again(sent) if again else sent)]
        await asyncio.sleep(0.1)
        assert here.attempts() == []
        held.paused = False
        here.scheduler.stir()
        here.engine.sender.kick()
        await here.until(lambda: all(copy.finished for copy in copies))
        assert len(here.twilio.posts) == 1


@pytest.mark.parametrize(
    ("again", "after_ms"), [(True, 0), (False, LATE_MS + 1)], ids=["by a successor", "by a process that had slept"]
)
async def test_a_copy_that_policy_publishes_later_is_looked_up_in_the_log_and_not_sent(
    again: bool, after_ms: int
) -> None:
    sent, twilio = order(), FakeTwilio()
    kafka = DyingKafka()
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent, at_ms=sent.decided_at + LATE_MS)
        await here.until(lambda: record.finished)
        assert here.read_back == 0, "the log is read for late ones only"
        here.engine.drop()
    async with world(kafka=kafka, twilio=twilio) as here:
        # The first copy was committed: nothing of it was read at assignment.
        here.engine.reception.histories.take((sent.message_id, 0))
        copy = here.take(replace_again(sent) if again else sent, at_ms=sent.decided_at + after_ms)
        await here.until(lambda: copy.finished)
        assert len(twilio.posts) == 1
        _once(MessageStatus.ACCEPTED, here, sent.message_id)


async def test_a_copy_that_follows_a_recovered_and_finished_message_is_not_sent() -> None:
    """What was read at assignment says `retry`; it must not be believed again after the retry was made."""
    sent, twilio = order(), FakeTwilio()
    twilio.answer = lambda each, attempt, number: (
        rejected(20429, 429) if attempt == 1 else twilio.accepted(each, number)
    )
    seen = [0]

    def second_intent(record: Outgoing) -> bool:
        seen[0] += _is_intent(record)
        return seen[0] == 2

    kafka = await _crash_at(second_intent, sent, twilio)
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        await here.until(lambda: record.finished)
        copy = here.take(replace_again(sent))
        await here.until(lambda: copy.finished)
        assert len(twilio.posts) == 2


async def test_of_equal_texts_none_is_told_before_its_result_is_written_or_a_successor_may_tell_another_story() -> None:
    """The first one's POST never left, the second one's was accepted, and the process dies before its RESULT is
    written. The successor gives the one message in Twilio's list to the older attempt, and sends the other again: told
    before, the second would have two ends with two SIDs."""

    class Slow(RecordingPublisher):
        def publish(self, topic: str, value: bytes | None, **options: Any) -> asyncio.Future[Position]:
            if topic == ATTEMPTS and _is_result(Outgoing(topic, value)):
                return asyncio.get_running_loop().create_future()
            return super().publish(topic, value, **options)

    twilio, kafka, (older, younger) = FakeTwilio(), Slow(), [order(body="same") for _ in range(2)]
    async with world(kafka=kafka, twilio=twilio) as here:
        here.engine.scheduler.pauses.trip_account("main", 0.0, "hold", at_least_s=1e9)
        here.take(older)
        here.engine.sender._log.intent(here.engine.tenure.held[older.message_id, 0])
        here.engine.drop()
    async with world(kafka=kafka, twilio=twilio) as here:
        here.take(younger)
        await here.until(lambda: twilio.kept)
        await asyncio.sleep(0.05)
        assert here.told() == []
        here.engine.drop()
    survivor = RecordingPublisher()
    survivor.records = kafka.records
    async with world(kafka=survivor, twilio=twilio) as here:
        records = [here.take(each) for each in (older, younger)]
        await here.until(lambda: all(record.finished for record in records))
        assert len(twilio.kept) == 2
        for each in (older, younger):
            _once(MessageStatus.ACCEPTED, here, each.message_id)


def replace_again(sent: Dispatch) -> Dispatch:
    return replace(sent, again=True)


# -- stalls and changes of owner


async def test_after_a_produce_stall_an_old_intent_is_not_acted_on() -> None:
    """Its acknowledgement took longer than a second: another attempt is written first."""

    class Stalling(RecordingPublisher):
        stalled: asyncio.Event | None = asyncio.Event()
        releases: ClassVar[list[asyncio.Future[None]]] = []

        def publish(self, topic: str, value: bytes | None, **options: object) -> asyncio.Future[Position]:
            done = super().publish(topic, value, **options)  # type: ignore[arg-type]  # passed through
            if self.stalled is None:
                return done
            late: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
            self.releases.append(asyncio.ensure_future(self._release(done, late, self.stalled)))
            return late

        async def _release(
            self, done: asyncio.Future[Position], late: asyncio.Future[Position], stalled: asyncio.Event
        ) -> None:
            await stalled.wait()
            late.set_result(done.result())

    kafka = Stalling()
    async with world(kafka=kafka) as here:
        stalled = kafka.stalled
        assert stalled is not None
        record = here.take(order())
        await here.until(lambda: here.attempts())
        await asyncio.sleep(1.2)
        kafka.stalled = None
        stalled.set()
        await here.until(lambda: record.finished)
        assert here.attempts() == [
            ("intent", "", 1),
            ("result", "not_started", 1),
            ("intent", "", 2),
            ("result", "accepted", 2),
        ]
        assert [attempt for _, attempt, _ in here.twilio.posts] == [2]


async def test_what_was_planned_and_not_begun_at_a_change_of_owner_leaves_no_doubt() -> None:
    twilio, kafka = FakeTwilio(), DyingKafka()
    sent = [order() for _ in range(30)]
    async with world(kafka=kafka, twilio=twilio, max_in_flight=2) as here:
        twilio.hold = asyncio.Event()
        for each in sent:
            here.take(each)
        await here.until(lambda: sum(kind == "intent" for kind, _, _ in here.attempts()) >= 5)
        closing = asyncio.ensure_future(here.engine.close())
        await asyncio.sleep(0.05)
        twilio.hold.set()
        await closing
        here.engine.drop()
    async with world(kafka=kafka, twilio=twilio) as here:
        records = [here.take(each) for each in sent]
        await here.until(lambda: all(record.finished for record in records))
        assert len(twilio.posts) == 30
        assert twilio.lists == []


async def test_a_doubt_that_was_being_resolved_at_a_change_of_owner_is_resolved_anew() -> None:
    """The resolution of the last assignment must neither go on nor take the new one's doubt with it."""
    sent, twilio, kafka = order(), FakeTwilio(), DyingKafka()
    async with world(kafka=kafka, twilio=twilio) as here:
        twilio.answer = _lost(twilio, accepted=lambda number: False)
        here.take(sent)
        listing = asyncio.Event()
        twilio.listing = listing
        await here.until(lambda: twilio.lists)
        # The same process loses its partitions and gets them back while Twilio's answer is under way.
        here.engine.drop()
        here.engine.open(2, histories=histories_of(kafka), ends={0: len(kafka.records)})
        again = here.take(sent)
        listing.set()
        await here.until(lambda: again.finished)
        assert [attempt for _, attempt, _ in twilio.posts] == [1, 2]
        assert [outcome for _, outcome, attempt in here.attempts() if attempt == 1 and outcome] == ["in_doubt"]


async def test_a_message_that_expired_while_its_intent_was_written_at_a_change_of_owner_has_expired() -> None:
    """Left without a RESULT it would be in doubt, and end as unknown."""

    class Slow(RecordingPublisher):
        acknowledged: ClassVar[list[tuple[asyncio.Future[Position], Position]]] = []

        def publish(self, topic: str, value: bytes | None, **options: Any) -> asyncio.Future[Position]:
            written = super().publish(topic, value, **options)
            if self.acknowledged or not _is_intent(Outgoing(topic, value)):
                return written
            late: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
            self.acknowledged.append((late, written.result()))
            return late

    sent, twilio, kafka = order(deadline=wall_ms() + 300), FakeTwilio(), Slow()
    async with world(kafka=kafka, twilio=twilio) as here:
        here.take(sent)
        await here.until(lambda: kafka.acknowledged)
        await here.until(lambda: not here.scheduler.held)
        await here.engine.close()
        [(late, written)] = kafka.acknowledged
        late.set_result(written)
        await here.until(lambda: not here.engine.under_way.count and len(here.attempts()) == 2)
        assert here.told() == [], "a successor may own it by now"
        here.engine.drop()
    async with world(kafka=kafka, twilio=twilio) as successor:
        record = successor.take(sent)
        await successor.until(lambda: record.finished)
        assert [(event.status, event.reason) for event in successor.told()] == [
            (MessageStatus.EXPIRED, Reason.DEADLINE_PASSED)
        ]
        assert twilio.lists == []


async def test_what_a_process_did_not_start_says_nothing_of_its_own_post_in_the_next_assignment() -> None:
    """Kafka takes no records while the process loses its partitions and gets them back: what it wrote of the message
    cannot be read by then, and the number is used again."""

    class Stalled(RecordingPublisher):
        waiting: ClassVar[list[tuple[asyncio.Future[Position], Callable[[], asyncio.Future[Position]]]]] = []
        stalls = True

        def publish(self, topic: str, value: bytes | None, **options: Any) -> asyncio.Future[Position]:
            if not self.stalls:
                return super().publish(topic, value, **options)
            future: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
            self.waiting.append((future, partial(super().publish, topic, value, **options)))
            return future

        def go_on(self) -> None:
            self.stalls = False
            for future, publish in self.waiting:
                written = publish().result()
                if not future.done():
                    future.set_result(written)

    sent, twilio, kafka = order(), FakeTwilio(), Stalled()
    twilio.answer = _lost(twilio, accepted=lambda number: True)
    async with world(kafka=kafka, twilio=twilio) as here:
        here.take(sent)
        await here.until(lambda: kafka.waiting)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await here.engine.close()
        here.engine.drop()
        here.engine.open(2, histories=histories_of(kafka), ends={0: 0})
        here.take(sent)
        await here.until(lambda: len(kafka.waiting) == 3)
        kafka.go_on()
        await here.until(lambda: twilio.posts)
        here.engine.drop()
    assert here.attempts() == [("intent", "", 1), ("result", "not_started", 1), ("intent", "", 1)]
    async with world(kafka=kafka, twilio=twilio) as successor:
        record = successor.take(sent)
        await successor.until(lambda: record.finished)
        assert len(twilio.posts) == 1
        assert [event.sid for event in successor.told()] == [sid(1)]


async def test_a_message_resumed_just_before_a_change_of_owner_is_not_queued_in_the_next() -> None:
    sent, twilio = order(), FakeTwilio()
    twilio.answer = lambda each, attempt, number: (
        rejected(20429, 429) if attempt == 1 else twilio.accepted(each, number)
    )
    seen = [0]

    def second_intent(record: Outgoing) -> bool:
        seen[0] += _is_intent(record)
        return seen[0] == 2

    kafka = await _crash_at(second_intent, sent, twilio)
    async with world(kafka=kafka, twilio=twilio) as here:
        here.take(sent)
        here.engine.drop()
        here.engine.open(2, histories=histories_of(kafka), ends={0: len(kafka.records)})
        again = here.take(sent)
        await here.until(lambda: again.finished)
        await asyncio.sleep(0.1)
        assert [attempt for _, attempt, _ in twilio.posts] == [1, 2]
