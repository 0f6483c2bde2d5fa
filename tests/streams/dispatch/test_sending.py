"""The sender: from a taken record to its end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from typing import Any, NoReturn

import pytest

from connectors.kafka.publisher import Position, PublisherClosed
from connectors.twilio.answers import NotSent
from schemas.reasons import Reason
from schemas.records import Deferral, MessageClass, MessageStatus
from schemas.topics import ATTEMPTS
from streams.dispatch.breaker import Backoff
from streams.dispatch.concurrency import DEFAULT_LIMIT
from streams.dispatch.settling import FULL_SPREAD
from tests.support.published import RecordingPublisher
from tests.support.waiting import until

from .simulation import lane, order
from .test_verdict import rejected
from .world import FakeTwilio, sent_message, sid, wall_ms, world

QUICK = Backoff(first_s=0.05, cap_s=0.1)


async def test_an_accepted_message_is_told_with_its_sid_and_then_finished() -> None:
    async with world() as here:
        sent = order()
        record = here.take(sent)
        await here.until(lambda: record.finished)
        [event] = here.told()
        assert (event.status, event.sid, event.attempt) == (MessageStatus.ACCEPTED, sid(1), 1)
        assert event.recipient == sent.recipient
        [(_, attempt, callback)] = here.twilio.posts
        assert attempt == 1
        assert callback == f"https://bridge.example/twilio/status?m={sent.message_id}&r=0&a=1#rc=5&rp=all"
        assert here.engine.tenure.held == {}


async def test_what_twilio_answered_stands_in_the_result_for_those_who_ask_later() -> None:
    async with world() as here:
        record = here.take(order())
        await here.until(lambda: record.finished)
        [_, result] = here.told(ATTEMPTS)
        assert (result.http_status, result.sid, result.request_id) == (201, sid(1), "RQ1")


async def test_nothing_is_finished_before_its_end_is_acknowledged() -> None:
    async with world() as here:
        here.kafka.failure = PublisherClosed("gone")
        record = here.take(order())
        with pytest.raises(PublisherClosed):
            await here.until(lambda: record.finished)
        assert not record.finished
        here.broken.clear()


async def test_a_refused_message_is_told_with_code_and_class() -> None:
    async with world() as here:
        here.twilio.answer = lambda *_: rejected(21610)
        record = here.take(order())
        await here.until(lambda: record.finished)
        [event] = here.told()
        assert (event.status, event.reason) == (MessageStatus.FAILED, Reason.REJECTED_BY_TWILIO)
        assert (event.error_code, event.error_class) == (21610, "recipient")


async def test_a_throttled_message_is_sent_again_under_its_next_number() -> None:
    async with world() as here:
        here.twilio.answer = lambda sent, attempt, number: (
            rejected(20429, 429) if attempt < 3 else here.twilio.accepted(sent, number)
        )
        record = here.take(order())
        await here.until(lambda: record.finished)
        assert [attempt for _, attempt, _ in here.twilio.posts] == [1, 2, 3]
        assert [event.attempt for event in here.told()] == [3]
        assert here.scheduler.accounts["main"].concurrency.slots < here.scheduler.accounts["main"].concurrency.ceiling


async def test_a_full_queue_holds_its_lane_alone_and_is_probed_by_one_message() -> None:
    async with world(lane("a", 1e6), lane("b", 1e6), lane_backoff=QUICK) as here:
        full = [True]
        here.twilio.answer = lambda sent, _, number: (
            rejected(21611, 429, retry_after_s=0.3)
            if sent.lane == "a" and full[0]
            else here.twilio.accepted(sent, number)
        )
        slow = [here.take(order(lane="a")) for _ in range(20)]
        breaker = here.scheduler.lanes["a"].breaker
        await here.until(lambda: breaker.troubles)
        before = sum(sent.lane == "a" for sent, _, _ in here.twilio.posts)
        fast = [here.take(order(lane="b")) for _ in range(20)]
        await here.until(lambda: all(record.finished for record in fast))
        assert not any(record.finished for record in slow)
        await here.until(lambda: breaker.troubles >= 2)
        assert sum(sent.lane == "a" for sent, _, _ in here.twilio.posts) == before + breaker.troubles - 1
        full[0] = False
        await here.until(lambda: all(record.finished for record in slow))
        assert here.troubles.health().ok


async def test_refused_credentials_hold_the_account_and_keep_every_message() -> None:
    async with world(account_backoff=QUICK) as here:
        wrong = [True]
        here.twilio.answer = lambda sent, __, number: (
            rejected(20003, 401) if wrong[0] else here.twilio.accepted(sent, number)
        )
        records = [here.take(order()) for _ in range(10)]
        await here.until(lambda: not here.troubles.health().ok)
        assert "20003" in here.troubles.health().detail
        await here.until(lambda: here.scheduler.accounts["main"].breaker.troubles >= 3)
        assert not any(record.finished for record in records)
        wrong[0] = False
        await here.until(lambda: all(record.finished for record in records))
        assert here.troubles.health().ok
        assert Counter(event.status for event in here.told()) == {MessageStatus.ACCEPTED: 10}


async def test_twilio_away_is_waited_for_by_probes_and_costs_no_message() -> None:
    async with world(account_backoff=QUICK) as here:
        away = [True]
        here.twilio.answer = lambda sent, __, number: (
            NotSent("refused") if away[0] else here.twilio.accepted(sent, number)
        )
        records = [here.take(order()) for _ in range(200)]
        await here.until(lambda: here.scheduler.accounts["main"].breaker.troubles >= 5)
        asked_while_away = len(here.twilio.posts)
        assert asked_while_away <= DEFAULT_LIMIT + 10, "after the first refusals one probe at a time"
        away[0] = False
        await here.until(lambda: all(record.finished for record in records))
        assert Counter(event.status for event in here.told()) == {MessageStatus.ACCEPTED: 200}


async def test_a_repeat_of_a_held_message_joins_it_and_both_are_finished_by_one_post() -> None:
    async with world() as here:
        here.twilio.hold = asyncio.Event()
        sent = order()
        first, again = here.take(sent), here.take(sent)
        await here.until(lambda: here.twilio.posts)
        late = here.take(sent)
        here.twilio.hold.set()
        await here.until(lambda: first.finished and again.finished and late.finished)
        assert len(here.twilio.posts) == 1
        assert len(here.told()) == 1


async def test_an_expired_message_is_never_sent() -> None:
    async with world() as here:
        record = here.take(order(deadline=wall_ms() - 1))
        await here.until(lambda: record.finished)
        [event] = here.told()
        assert (event.status, event.reason, event.attempt) == (
            MessageStatus.EXPIRED,
            Reason.DEADLINE_PASSED,
            None,
        )
        assert here.twilio.posts == []


async def test_a_message_expires_on_a_lane_that_is_held() -> None:
    async with world() as here:
        here.scheduler.pauses.trip_lane("a", 0.0, "21611", at_least_s=1e9)
        record = here.take(order(deadline=wall_ms() + 300))
        await here.until(lambda: record.finished)
        assert here.told()[0].status is MessageStatus.EXPIRED
        assert here.twilio.posts == []


async def test_quiet_hours_that_have_begun_return_a_message_to_policy() -> None:
    async with world() as here:
        late = order()
        late.allowed_until = wall_ms() - 1
        record = here.take(late)
        await here.until(lambda: record.finished)
        [deferral] = here.told("comms.deferred.1s")
        assert isinstance(deferral, Deferral)
        assert (deferral.message_id, deferral.round) == (late.message_id, 1)
        assert here.twilio.posts == []


@pytest.mark.parametrize(
    ("reason", "wait_s"), [(Reason.UNKNOWN_LANE, 10), (Reason.LANE_MOVED, 1), (Reason.LANE_FULL, 60)]
)
async def test_a_message_that_may_not_be_sent_from_here_goes_back_to_policy_and_a_successor_says_the_same(
    reason: Reason, wait_s: int
) -> None:
    async with world() as here:
        sent = order()
        record = here.take(sent, reason)
        await here.until(lambda: record.finished)
        [(kind, outcome, attempt)] = here.attempts()
        assert (kind, outcome, attempt) == ("result", "not_started", 1)
        [deferral] = here.told("comms.deferred.1s")
        assert (deferral.message_id, deferral.round, deferral.reason) == (sent.message_id, 1, reason.value)
        longest_s = wait_s * (1 + FULL_SPREAD) if reason is Reason.LANE_FULL else wait_s
        assert wait_s * 1000 <= deferral.due_at - deferral.at < longest_s * 1000 + 5
        [event] = here.told()
        assert (event.status, event.reason, event.until) == (MessageStatus.DEFERRED, reason.value, deferral.due_at)
    async with world(kafka=here.kafka) as successor:
        # It may send the message now, as far as it can see.
        again = successor.take(sent)
        await successor.until(lambda: again.finished)
        assert successor.twilio.posts == []
        assert [each.round for each in successor.told("comms.deferred.1s")] == [1, 1]


async def test_what_may_not_be_sent_from_here_and_is_too_late_ends_here() -> None:
    async with world() as here:
        record = here.take(order(deadline=0), Reason.LANE_MOVED)
        await here.until(lambda: record.finished)
        assert [event.status for event in here.told()] == [MessageStatus.EXPIRED]
        assert here.told("comms.deferred.1s") == []


async def test_a_commit_leads_a_successor_to_what_went_back_without_an_intent() -> None:
    async with world() as here:
        record = here.take(order(), Reason.LANE_FULL)
        await here.until(lambda: record.finished)
        message = record.message
        assert here.engine.positions.of(message.tp, message.offset) == 0


@pytest.mark.parametrize("arrived", [True, False])
async def test_a_message_in_doubt_whose_lane_is_gone_goes_back_only_if_twilio_does_not_have_it(arrived: bool) -> None:
    twilio = FakeTwilio()
    twilio.hold = asyncio.Event()  # its answer never comes
    sent = order()
    async with world(twilio=twilio) as here:
        here.take(sent)
        await here.until(lambda: twilio.posts)
    if arrived:
        twilio.kept.append(sent_message(sent, 1))
    async with world(lane("other", 1.0), twilio=twilio, kafka=here.kafka) as successor:
        record = successor.take(sent, Reason.UNKNOWN_LANE)
        await successor.until(lambda: record.finished)
        assert [each.round for each in successor.told("comms.deferred.1s")] == ([] if arrived else [1])
        assert [event.status for event in successor.told()] == [
            MessageStatus.ACCEPTED if arrived else MessageStatus.DEFERRED
        ]
    assert len(twilio.posts) == 1


async def test_without_a_lease_nothing_goes_back_until_it_is_there_again() -> None:
    async with world() as here:
        here.allowed = False
        record = here.take(order(), Reason.LANE_FULL)
        await here.until(here.attempts)
        await asyncio.sleep(0.2)
        assert here.told("comms.deferred.1s") == []
        here.allowed = True
        await here.until(lambda: record.finished)
        assert len(here.told("comms.deferred.1s")) == 1


async def test_partitions_can_be_given_away_while_a_lease_is_away() -> None:
    async with world() as here:
        here.allowed = False
        record = here.take(order(), Reason.LANE_FULL)
        await here.until(here.attempts)
        await asyncio.wait_for(here.engine.close(), 5)
        assert not record.finished


async def test_partitions_can_be_given_away_while_the_log_is_read_for_thousands_of_records() -> None:
    async with world() as here:
        here.reading = asyncio.Event()
        records = [here.take(replace(order(), again=True)) for _ in range(5_000)]
        await here.until(lambda: here.read_back)
        closing = asyncio.ensure_future(here.engine.close())
        await asyncio.sleep(0)
        late = here.take(replace(order(), again=True))
        await asyncio.wait_for(closing, 5)
        here.engine.drop()
        assert not any(record.finished for record in (*records, late))
        assert here.read_back == 1, "nor is another reading begun"
        here.reading = None
        here.engine.open(2)
        again = here.take(replace(order(), again=True))
        await here.until(lambda: again.finished)


async def test_no_more_posts_are_under_way_than_there_are_slots_and_critical_finds_one() -> None:
    async with world(max_in_flight=10) as here:
        here.twilio.hold = asyncio.Event()
        bulk = [here.take(order(message_class=MessageClass.BULK)) for _ in range(50)]
        await here.until(lambda: len(here.twilio.posts) == 9)
        urgent = here.take(order(message_class=MessageClass.CRITICAL))
        await here.until(lambda: len(here.twilio.posts) == 10)
        assert here.twilio.posts[-1][0].message_class is MessageClass.CRITICAL
        here.twilio.hold.set()
        await here.until(lambda: urgent.finished and all(record.finished for record in bulk))
        assert here.twilio.most_in_flight == 10


async def test_without_a_valid_lease_nothing_is_sent_and_with_it_everything_goes_on() -> None:
    async with world() as here:
        here.allowed = False
        record = here.take(order())
        await asyncio.sleep(0.2)
        assert here.twilio.posts == []
        here.allowed = True
        await here.until(lambda: record.finished)


async def test_a_step_of_the_pump_that_fails_ends_the_process_instead_of_every_lanes_sending() -> None:
    async with world() as here:

        def fails(now: float) -> NoReturn:
            raise ZeroDivisionError("no pace")

        here.scheduler.plan = fails  # type: ignore[method-assign]
        here.take(order())
        await until(lambda: here.broken, 10)
        assert str(here.broken.pop(0)) == "no pace"
        await asyncio.sleep(0.05)
        here.broken.clear()
        del here.scheduler.plan


async def test_closing_waits_for_what_is_under_way_and_starts_nothing_more() -> None:
    async with world(max_in_flight=5) as here:
        here.twilio.hold = asyncio.Event()
        records = [here.take(order()) for _ in range(20)]
        await here.until(lambda: len(here.twilio.posts) == 4)
        closing = asyncio.ensure_future(here.engine.close())
        await asyncio.sleep(0.05)
        assert not closing.done()
        here.twilio.hold.set()
        await asyncio.wait_for(closing, 10)
        assert len(here.twilio.posts) == 4
        assert sum(record.finished for record in records) == 4
        here.engine.drop()
        assert here.engine.tenure.held == {}


async def test_closing_waits_until_what_it_gives_back_is_written_down_though_nothing_else_is_under_way() -> None:
    class Slow(RecordingPublisher):
        async def _late(self, acknowledged: asyncio.Future[Position], written: Position) -> None:
            await asyncio.sleep(0.1)
            acknowledged.set_result(written)

        def publish(self, topic: str, value: bytes | None, **options: Any) -> asyncio.Future[Position]:
            written = super().publish(topic, value, **options).result()
            acknowledged: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
            self.task = asyncio.ensure_future(self._late(acknowledged, written))
            return acknowledged

    kafka = Slow()
    async with world(kafka=kafka) as here:
        here.take(order())
        await here.until(lambda: here.attempts())
        await here.engine.close()
        assert here.attempts() == [("intent", "", 1), ("result", "not_started", 1)]
        assert kafka.task.done()
        here.engine.drop()


async def test_a_retry_of_a_dropped_message_is_not_sent_here_again() -> None:
    async with world() as here:
        here.twilio.hold = asyncio.Event()
        here.twilio.answer = lambda *_: rejected(20429, 429)
        here.take(order())
        await here.until(lambda: here.twilio.posts)
        here.engine.drop()
        here.engine.open(2)
        here.twilio.hold.set()
        await here.until(lambda: not here.engine.under_way.count)
        await asyncio.sleep(0.3)
        assert len(here.twilio.posts) == 1
        assert here.engine.tenure.held == {}


async def test_a_post_whose_connection_took_too_long_is_made_anew() -> None:
    async with world() as here:
        here.twilio.connecting = asyncio.Event()
        record = here.take(order())
        await here.until(lambda: here.attempts())
        await asyncio.sleep(1.2)
        here.twilio.connecting.set()
        await here.until(lambda: record.finished)
        assert [attempt for _, attempt, _ in here.twilio.posts] == [2]
        assert here.troubles.health().ok


async def test_posts_that_waited_for_connections_are_written_at_their_pace() -> None:
    async with world(lane("a", 20.0)) as here:
        here.twilio.connecting = asyncio.Event()
        written: list[float] = []
        here.twilio.answer = lambda sent, _, number: (
            written.append(time.monotonic()) or here.twilio.accepted(sent, number)  # type: ignore[func-returns-value]
        )
        records = [here.take(order()) for _ in range(6)]
        await here.until(lambda: here.scheduler.lanes["a"].in_flight == len(records))
        here.twilio.connecting.set()
        await here.until(lambda: all(record.finished for record in records))
        assert [attempt for _, attempt, _ in here.twilio.posts] == [1] * len(records), "none was made anew"
        assert written[-1] - written[0] >= (len(records) - 1) / 20.0 - 0.01


async def test_a_process_that_lost_its_lease_while_connecting_writes_nothing() -> None:
    async with world() as here:
        here.twilio.connecting = asyncio.Event()
        record = here.take(order())
        await here.until(lambda: here.attempts())
        here.allowed = False
        here.twilio.connecting.set()
        await here.until(lambda: len(here.attempts()) == 2)
        assert here.twilio.posts == []
        assert here.attempts()[1] == ("result", "not_started", 1)
        here.allowed = True
        await here.until(lambda: record.finished)
