"""Switches of comms.control, applied to an engine that is sending."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from schemas.records import Control, ControlAction, ControlSubject, MessageStatus
from streams.control.health import failing, health_key
from streams.control.switches import LOWEST_RATE, Aspect, control_key
from streams.dispatch.lanes import Group
from streams.dispatch.switching import Switching

from .simulation import lane, order
from .world import World, wall_ms, world

LANE, GROUP, ACCOUNT, APP, _ = ControlSubject
PAUSE, RESUME, RATE = ControlAction.PAUSE, ControlAction.RESUME, ControlAction.RATE
NOTHING_HAPPENS_S = 0.2


def switching_of(running: World) -> Switching:
    return Switching(
        running.scheduler,
        troubles=running.troubles,
        stirred=running.engine.sender.kick,
        clock=time.monotonic,
        now_ms=wall_ms,
    )


def switch(
    switching: Switching,
    kind: ControlSubject,
    subject: str,
    action: ControlAction,
    aspect: Aspect = Aspect.PAUSE,
    **more: Any,
) -> None:
    record = Control(subject_kind=kind, subject=subject, action=action, by="ada", at=wall_ms(), **more)
    switching.take(control_key(kind, subject, aspect), record)


@pytest.mark.parametrize(("kind", "subject"), [(LANE, "a"), (GROUP, "a"), (ACCOUNT, "main")])
async def test_what_is_paused_starts_nothing_and_goes_on_when_resumed(kind: ControlSubject, subject: str) -> None:
    async with world(lane("a", 1e6), lane("b", 1e6, account="other")) as running:
        switching = switching_of(running)
        switch(switching, kind, subject, PAUSE)
        held = running.take(order(lane="a"))
        elsewhere = order(lane="b")
        elsewhere.account = "other"
        free = running.take(elsewhere)
        await running.until(lambda: free.finished)
        await asyncio.sleep(NOTHING_HAPPENS_S)
        assert len(running.twilio.posts) == 1
        assert not held.finished
        assert switching.pause_of("a") is not None
        switch(switching, kind, subject, RESUME)
        await running.until(lambda: held.finished)


async def test_that_a_lanes_messages_fail_is_for_policy_and_disturbs_no_sending() -> None:
    async with world() as running:
        stirred: list[None] = []
        switching = Switching(
            running.scheduler,
            troubles=running.troubles,
            stirred=lambda: stirred.append(None),
            clock=time.monotonic,
            now_ms=wall_ms,
        )
        word = failing("a", code=30007, why="", fix="", at=wall_ms(), until=wall_ms() + 60_000)
        switching.take(health_key("a"), word)
        assert (stirred, switching.pause_of("a")) == ([], None)
        sent = running.take(order(lane="a"))
        await running.until(lambda: sent.finished)


async def test_deadlines_finish_what_a_paused_lane_holds() -> None:
    async with world() as running:
        switch(switching_of(running), LANE, "a", PAUSE)
        late = order(deadline=wall_ms() + 100)
        held = running.take(late)
        await running.until(lambda: held.finished)
        assert running.ends()[late.message_id].status is MessageStatus.EXPIRED
        assert not running.twilio.posts


async def test_a_post_that_waits_for_its_connection_is_not_made_when_its_lane_is_paused_meanwhile() -> None:
    async with world() as running:
        switching = switching_of(running)
        connecting = running.twilio.connecting = asyncio.Event()
        held = running.take(order())
        await running.until(lambda: running.attempts())
        await asyncio.sleep(0.05)
        switch(switching, LANE, "a", PAUSE)
        connecting.set()
        await running.until(lambda: len(running.attempts()) == 2)
        await asyncio.sleep(NOTHING_HAPPENS_S)
        assert not running.twilio.posts
        switch(switching, LANE, "a", RESUME)
        await running.until(lambda: held.finished)
        assert len(running.twilio.posts) == 1


async def test_a_pause_with_until_ends_by_itself() -> None:
    async with world() as running:
        switching = switching_of(running)
        switch(switching, LANE, "a", PAUSE, until=wall_ms() + 150)
        held = running.take(order())
        switching.turn()
        await asyncio.sleep(0.05)
        assert not running.twilio.posts
        await asyncio.sleep(0.15)
        switching.turn()
        await running.until(lambda: held.finished)


async def test_a_paused_app_is_held_and_delays_no_other_of_its_lane() -> None:
    async with world(lane("a", 1e6)) as running:
        switching = switching_of(running)
        switch(switching, LANE, "a", PAUSE)
        queued = [running.take(order(app="loud")) for _ in range(20)]
        other = running.take(order(app="quiet"))
        switch(switching, APP, "loud", PAUSE)
        switch(switching, LANE, "a", RESUME)
        later = running.take(order(app="loud"))
        await running.until(lambda: other.finished)
        await asyncio.sleep(NOTHING_HAPPENS_S)
        assert [each.app for each, _, _ in running.twilio.posts] == ["quiet"]
        switch(switching, APP, "loud", RESUME)
        await running.until(lambda: all(each.finished == 1 for each in (*queued, later)))
        assert len(running.twilio.posts) == 22


async def test_an_app_paused_after_its_message_was_prepared_is_held() -> None:
    async with world(lane("a", 20.0)) as running:
        switching = switching_of(running)
        taken = [running.take(order(app="loud")) for _ in range(6)]
        await running.until(lambda: running.twilio.posts)
        switch(switching, APP, "loud", PAUSE)
        before = len(running.twilio.posts)
        await asyncio.sleep(0.5)
        assert len(running.twilio.posts) == before
        switch(switching, APP, "loud", RESUME)
        await running.until(lambda: all(each.finished == 1 for each in taken))
        assert len({each.message_id for each, _, _ in running.twilio.posts}) == 6


async def test_deadlines_finish_what_a_paused_app_has_queued() -> None:
    async with world() as running:
        switch(switching_of(running), APP, "shop", PAUSE)
        late = order(deadline=wall_ms() + 100)
        held = running.take(late)
        await running.until(lambda: held.finished)
        assert running.ends()[late.message_id].status is MessageStatus.EXPIRED


async def test_a_rate_that_was_far_too_low_for_a_moment_holds_nothing_up_when_it_is_put_right() -> None:
    async with world(lane("a", 1e4), lane("b", 1e4, group="g"), groups=[Group("g", 1, rate=1e4)]) as running:
        switching = switching_of(running)
        for kind, subject in ((LANE, "a"), (GROUP, "g")):
            switch(switching, kind, subject, RATE, Aspect.RATE, rate=0.01)
        first = [running.take(order(lane=name)) for name in ("a", "b")]
        await running.until(lambda: all(record.finished for record in first))
        for kind, subject in ((LANE, "a"), (GROUP, "g")):
            switch(switching, kind, subject, ControlAction.CLEAR, Aspect.RATE)
        # At 0.01/s the next would wait for 100 s.
        waiting = [running.take(order(lane=name)) for name in ("a", "b")]
        await running.until(lambda: all(record.finished for record in waiting))


@pytest.mark.parametrize("rate", [float("inf"), float("nan"), -1.0, 0.0, 1e-310, 5e-324])
async def test_a_rate_that_is_none_harms_nobody(rate: float) -> None:
    async with world(lane("a", 1e6)) as running:
        switch(switching_of(running), LANE, "a", RATE, Aspect.RATE, rate=rate)
        sent = running.take(order(lane="a"))
        await running.until(lambda: sent.finished)
        assert running.scheduler.lanes["a"].pace.bucket.rate == (LOWEST_RATE if 0 < rate < 1 else 1e6)


async def test_a_changed_rate_holds_at_once_in_both_directions() -> None:
    async with world(lane("a", 1.0)) as running:
        switching = switching_of(running)
        taken = [running.take(order()) for _ in range(100)]
        await running.until(lambda: running.twilio.posts)
        switch(switching, LANE, "a", RATE, Aspect.RATE, rate=5_000.0)
        # 98 s at the configured rate.
        await running.until(lambda: all(each.finished for each in taken))
        assert running.scheduler.lanes["a"].pace.bucket.rate == 5_000.0
        switch(switching, LANE, "a", ControlAction.CLEAR, Aspect.RATE)
        assert running.scheduler.lanes["a"].pace.bucket.rate == 1.0
