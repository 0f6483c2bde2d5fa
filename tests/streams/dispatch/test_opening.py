"""What waits at a group's new place until the old one is empty."""

from __future__ import annotations

import asyncio
import time

from schemas.reasons import Reason
from schemas.records import Control, ControlAction, ControlSubject, MessageStatus
from streams.control.places import moved
from streams.control.switches import Aspect, Switches, control_key
from streams.dispatch.moving import Moving
from streams.dispatch.pace_log import LARGEST_MESSAGE

from .simulation import lane, order
from .world import PARTITION, World, wall_ms, world

OLD = 3
NOTHING_HAPPENS_S = 0.15


def moving_of(running: World, switches: Switches) -> Moving:
    engine = running.engine
    return Moving(
        running.scheduler.table,
        switches,
        running.scheduler,
        engine.tenure,
        give_back=lambda job: engine.under_way.spawn(engine.settler.give_up(job, Reason.LANE_MOVED)),
        serves=lambda partition: partition == PARTITION,
        clock=time.monotonic,
        now_ms=wall_ms,
    )


def write(moving: Moving, switches: Switches, record: Control) -> None:
    switches.take(control_key(ControlSubject.GROUP, "a", Aspect.PLACE), record)
    moving.take(record)


def begun(since: int, to: int) -> Control:
    return Control(
        subject_kind=ControlSubject.GROUP,
        subject="a",
        action=ControlAction.MOVE_BEGIN,
        from_partition=since,
        to_partition=to,
        by="ada",
        at=1,
    )


async def test_what_comes_to_the_new_place_waits_until_the_old_one_is_empty_and_then_for_its_debt() -> None:
    async with world(lane("a", 200.0)) as running:
        switches = Switches()
        moving = moving_of(running, switches)
        write(moving, switches, begun(OLD, PARTITION))
        record = running.take(order(), closed=True)
        late = running.take(order(deadline=wall_ms() + 50), closed=True)
        await running.until(lambda: late.finished)
        await asyncio.sleep(NOTHING_HAPPENS_S)
        assert running.twilio.posts == []
        assert [event.status for event in running.told()] == [MessageStatus.EXPIRED]
        opened = time.monotonic()
        write(moving, switches, moved("a", PARTITION, by="dispatch", at=wall_ms(), since=OLD))
        running.engine.sender.kick()
        await running.until(lambda: record.finished)
        assert len(running.twilio.posts) == 1
        assert time.monotonic() - opened >= LARGEST_MESSAGE / 200.0 - 0.02


async def test_what_waits_at_an_old_place_when_the_move_is_done_goes_back_to_policy() -> None:
    async with world(lane("a", 0.001)) as running:
        switches = Switches()
        moving = moving_of(running, switches)
        write(moving, switches, begun(PARTITION, OLD))
        taken = [running.take(order()) for _ in range(5)]
        await running.until(lambda: running.twilio.posts)
        write(moving, switches, moved("a", OLD, by="dispatch", at=2, since=PARTITION))
        await running.until(lambda: all(each.finished for each in taken))
        assert len(running.twilio.posts) == 1
        assert [each.reason for each in running.told("comms.deferred.1s")] == [Reason.LANE_MOVED] * 4
