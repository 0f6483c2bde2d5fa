"""Trouble of lanes and accounts: written for all processes, obeyed by all, and ended by a probe."""

from __future__ import annotations

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from connectors.twilio.answers import Answer
from schemas.reasons import Reason
from schemas.records import (
    AttemptKind,
    Control,
    ControlAction,
    ControlSubject,
    Deferral,
    Dispatch,
    MessageStatus,
    Stage,
)
from schemas.topics import ATTEMPTS, CONTROL, deferral_topic
from streams.control.switches import Aspect, control_key
from streams.control.trouble import trouble, trouble_key
from streams.dispatch.breaker import Backoff
from streams.dispatch.snapshot import LaneView
from streams.dispatch.switching import Switching
from streams.dispatch.verdict import ROUNDS_MAX, Paused

from .simulation import FAR_MS, lane, order
from .test_sending import QUICK
from .test_switching import switching_of
from .test_verdict import rejected
from .world import World, wall_ms, world

LANE, ACCOUNT = ControlSubject.LANE, ControlSubject.ACCOUNT
SLOW = Backoff(first_s=0.1, cap_s=60.0, jitter=0.0)


def written(here: World) -> list[Control]:
    """Trouble on comms.control, in order."""
    records: list[Control] = here.told(CONTROL)
    return records


def met(kind: ControlSubject, subject: str, for_ms: int, code: int = 21606) -> Control:
    now_ms = wall_ms()
    return trouble(
        kind, subject, code=code, why="no", fix="buy one", by=Stage.FEEDBACK, at=now_ms, until=now_ms + for_ms
    )


def hear(switching: Switching, record: Control) -> None:
    switching.take(trouble_key(record), record)


async def test_a_refused_sender_is_told_once_with_code_meaning_and_fix_and_its_message_goes_back_to_policy() -> None:
    async with world() as here:
        here.twilio.answer = lambda *_: rejected(21606)
        sent = order()
        with capture_logs() as logs:
            record = here.take(sent)
            await here.until(lambda: record.finished and written(here))
        [alarm] = [line for line in logs if line["event"] == "held"]
        assert alarm["log_level"] == "error"
        assert (alarm["code"], alarm["name"]) == (21606, "a")
        assert alarm["meaning"].startswith("The 'From' phone number provided")
        assert "stop route" in alarm["fix"]
        [deferral] = [each for each in here.told(deferral_topic("1s")) if isinstance(each, Deferral)]
        assert (deferral.message_id, deferral.round, deferral.reason) == (sent.message_id, 1, Reason.SENDER_REFUSED)
        assert deferral.request is not None
        [event] = here.told()
        assert (event.status, event.error_code) == (MessageStatus.DEFERRED, 21606)
        [control] = written(here)
        assert (control.action, control.error_code, control.by) == (ControlAction.PAUSE, 21606, "dispatch")
        assert control.until is not None
        assert control.until > control.at
        assert control.fix is not None
        [key] = [each.key for each in here.kafka.records if each.topic == CONTROL]
        assert key == control_key(LANE, "a", Aspect.TROUBLE)
        view = LaneView(
            here.scheduler, here.troubles, owns=lambda name: True, clock=time.monotonic, now_ms=wall_ms
        ).show()
        assert view["lanes"][0]["held"]["code"] == 21606
        assert view["lanes"][0]["held"]["fix"] == control.fix
        assert view["lanes"][0]["held"]["next_probe"] == control.until


@pytest.mark.parametrize("apart_ms", [300_000, -300_000])
async def test_a_clock_that_is_wrong_or_was_set_holds_nothing_for_longer_than_whoever_met_the_trouble(
    apart_ms: int,
) -> None:
    async with world(lane("a", 1e6)) as here:
        record = met(LANE, "a", 5_000)
        assert record.until is not None
        record.at, record.until = record.at + apart_ms, record.until + apart_ms
        hear(switching_of(here), record)
        breaker = here.scheduler.lanes["a"].breaker
        assert breaker.open_until <= time.monotonic() + 5.0
        assert not breaker.closed, "it is probed all the same"


async def test_each_failed_probe_is_written_with_a_later_next_one() -> None:
    async with world(lane_backoff=SLOW) as here:
        here.twilio.answer = lambda *_: rejected(21606)
        taken = [here.take(order()) for _ in range(10)]
        await here.until(lambda: len(written(here)) >= 4)
        waits = [(record.until or 0) - record.at for record in written(here)[1:4]]
        assert waits == sorted(waits)
        assert waits[-1] > 3 * waits[0]
        assert sum(record.finished for record in taken) < 10, "the others wait for the lane"


async def test_a_probe_that_succeeds_ends_the_trouble_for_everybody() -> None:
    async with world(lane_backoff=QUICK) as here:
        broken = [True]

        def answer(sent: Dispatch, attempt: int, number: int) -> Answer:
            return rejected(21606) if broken[0] else here.twilio.accepted(sent, number)

        here.twilio.answer = answer
        taken = [here.take(order()) for _ in range(5)]
        await here.until(lambda: any(record.finished for record in taken))
        broken[0] = False
        await here.until(lambda: all(record.finished for record in taken))
        assert written(here)[-1].action is ControlAction.CLEAR
        assert here.troubles.of(Paused.LANE, "a") is None


async def test_an_account_in_trouble_is_written_down_and_its_messages_wait_here() -> None:
    async with world() as here:
        broken = [True]

        def answer(sent: Dispatch, attempt: int, number: int) -> Answer:
            return rejected(20003, 401) if broken[0] else here.twilio.accepted(sent, number)

        here.twilio.answer = answer
        record = here.take(order())
        await here.until(lambda: written(here))
        control = written(here)[0]
        assert (control.subject_kind, control.subject, control.error_code) == (ACCOUNT, "main", 20003)
        assert not here.told(deferral_topic("1s"))
        broken[0] = False
        await here.until(lambda: record.finished)
        assert written(here)[-1].action is ControlAction.CLEAR


@pytest.mark.parametrize(("code", "http_status", "round"), [(21606, 400, ROUNDS_MAX), (None, 403, 0)])
async def test_a_message_that_is_refused_whatever_is_mended_holds_nobody_up_until_its_deadline(
    code: int | None, http_status: int, round: int
) -> None:
    async with world(lane_backoff=QUICK, account_backoff=QUICK) as here:
        bad = order(round=round, deadline=FAR_MS - 1)

        def answer(sent: Dispatch, attempt: int, number: int) -> Answer:
            return rejected(code, http_status) if sent is bad else here.twilio.accepted(sent, number)

        here.twilio.answer = answer
        here.take(bad)
        await here.until(lambda: here.twilio.posts)
        taken = [here.take(order()) for _ in range(5)]
        await here.until(lambda: all(record.finished for record in taken))
        tries = [attempt for sent, attempt, _ in here.twilio.posts if sent is bad]
        assert tries == list(range(1, len(tries) + 1)), "no number was used twice"


async def test_it_comes_back_when_the_pause_is_over_and_others_have_probed() -> None:
    async with world(lane_backoff=SLOW) as here:
        here.twilio.answer = lambda *_: rejected(21606)
        here.take(order(round=ROUNDS_MAX))
        await here.until(lambda: len([each for each in here.attempts() if each[0] == "result"]) == 2)
        results = [each for each in here.told(ATTEMPTS) if each.kind is AttemptKind.RESULT]
        # The second pause is 0.2 s long, the second wait of the message's own a second.
        assert [each.follows_at - each.at for each in results] == [0, 1_200]


async def test_that_twilio_cannot_be_reached_is_each_processs_own_finding() -> None:
    async with world() as here:
        here.twilio.answer = lambda *_: rejected(20429, 429)
        here.take(order())
        await here.until(lambda: len(here.twilio.posts) > 2)
        assert written(here) == []


@pytest.mark.parametrize(("kind", "subject"), [(LANE, "a"), (ACCOUNT, "main")])
async def test_trouble_that_another_process_met_holds_until_its_probe_and_one_message_finds_out(
    kind: ControlSubject, subject: str
) -> None:
    async with world() as here:
        switching = switching_of(here)
        hear(switching, met(kind, subject, 400))
        here.twilio.hold = asyncio.Event()
        taken = [here.take(order()) for _ in range(20)]
        await asyncio.sleep(0.2)
        assert here.twilio.posts == []
        await here.until(lambda: here.twilio.posts)
        await asyncio.sleep(0.2)
        assert len(here.twilio.posts) == 1, "one probes"
        here.twilio.hold.set()
        await here.until(lambda: all(record.finished for record in taken))
        assert written(here)[-1].action is ControlAction.CLEAR


async def test_trouble_whose_probe_is_overdue_lets_one_message_through_at_once() -> None:
    async with world() as here:
        hear(switching_of(here), met(LANE, "a", -60_000))
        here.twilio.hold = asyncio.Event()
        for _ in range(20):
            here.take(order())
        await here.until(lambda: here.twilio.posts)
        await asyncio.sleep(0.2)
        assert len(here.twilio.posts) == 1
        here.twilio.hold.set()


async def test_trouble_goes_on_growing_where_another_process_left_it() -> None:
    async with world(lane_backoff=SLOW) as here:
        record = met(LANE, "a", 0)
        record.at -= 3_200
        here.twilio.answer = lambda *_: rejected(21606)
        hear(switching_of(here), record)
        here.take(order())
        await here.until(lambda: written(here))
        [again] = written(here)
        assert (again.until or 0) - again.at >= 6_000


@pytest.mark.parametrize(("kind", "subject"), [(LANE, "a"), (ACCOUNT, "main")])
async def test_the_end_of_trouble_that_another_process_found_lets_everything_go(
    kind: ControlSubject, subject: str
) -> None:
    async with world() as here:
        switching = switching_of(here)
        record = met(kind, subject, 3_600_000)
        hear(switching, record)
        taken = [here.take(order()) for _ in range(5)]
        await asyncio.sleep(0.1)
        assert here.troubles.of(Paused(kind.value), subject) is not None
        assert here.twilio.posts == []
        over = Control(subject_kind=kind, subject=subject, action=ControlAction.CLEAR, by="ada", at=wall_ms())
        switching.take(trouble_key(record), over)
        await here.until(lambda: all(each.finished for each in taken))
        assert here.troubles.of(Paused(kind.value), subject) is None


async def test_trouble_does_not_end_an_operators_pause_nor_the_other_way_round() -> None:
    async with world() as here:
        switching = switching_of(here)
        pause = Control(subject_kind=LANE, subject="a", action=ControlAction.PAUSE, by="ada", at=wall_ms())
        switching.take(control_key(LANE, "a", Aspect.PAUSE), pause)
        record = met(LANE, "a", 3_600_000)
        hear(switching, record)
        held = here.take(order())
        switching.take(trouble_key(record), None)
        await asyncio.sleep(0.1)
        assert not here.twilio.posts
        hear(switching, met(LANE, "a", 3_600_000))
        switching.take(control_key(LANE, "a", Aspect.PAUSE), None)
        await asyncio.sleep(0.1)
        assert not here.twilio.posts
        switching.take(trouble_key(record), None)
        await here.until(lambda: held.finished)


async def test_what_stood_before_a_rebalance_holds_after_it() -> None:
    async with world(lane("a", 1e6)) as here:
        switching = switching_of(here)
        hear(switching, met(LANE, "a", 3_600_000))
        here.engine.drop()
        switching.again()
        here.engine.open(1)
        here.take(order())
        await asyncio.sleep(0.1)
        assert here.twilio.posts == []
        assert here.troubles.of(Paused.LANE, "a") is not None


def test_a_foreign_wait_says_how_often_trouble_has_come() -> None:
    assert [SLOW.times(wait) for wait in (0.0, 0.1, 0.2, 0.4, 3.2, 60.0, 1e6)] == [1, 1, 2, 3, 6, 11, 11]
    assert all(SLOW.wait_s(SLOW.times(wait) + 1, lambda: 0.5) > wait for wait in (0.1, 0.2, 0.4, 3.2))
