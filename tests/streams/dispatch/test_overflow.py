"""What fills a partition goes back to policy, so that its neighbours go on."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from connectors.kafka.topic_partition import TP
from schemas.reasons import Reason
from schemas.records import Control, ControlAction, ControlSubject, Dispatch, MessageClass
from streams.control.switches import Aspect, control_key
from streams.dispatch.lanes import Group, LaneTable
from streams.dispatch.overflow import HELD_PART, Overflow

from .simulation import lane, order, table
from .test_switching import switching_of
from .world import PARTITION, Consumed, World, wall_ms, world

LANE, GROUP, ACCOUNT, APP, _ = ControlSubject
NOTHING_HAPPENS_S = 0.1
TOPIC = TP("comms.dispatch.normal", PARTITION)


def overflow_of(running: World, span: tuple[int, int] = (0, 0)) -> Overflow:
    engine = running.engine
    return Overflow(
        running.scheduler.table,
        running.scheduler,
        engine.tenure,
        give_back=lambda job: engine.under_way.spawn(engine.settler.give_up(job, Reason.LANE_FULL)),
        span=lambda tp: span if tp == TOPIC else (0, 0),
    )


def take(running: World, overflow: Overflow, sent: Dispatch) -> Consumed:
    """As the stage does."""
    return running.take(sent, Reason.LANE_FULL if overflow.is_full(sent, TOPIC) else None)


def pause(running: World, kind: ControlSubject, *subjects: str) -> None:
    switching = switching_of(running)
    for subject in subjects:
        record = Control(subject_kind=kind, subject=subject, action=ControlAction.PAUSE, by="ada", at=wall_ms())
        switching.take(control_key(kind, subject, Aspect.PAUSE), record)


def test_groups_that_share_a_partition_have_parts_of_its_window_by_rate() -> None:
    shared = [Group("slow", 0), Group("fast", 0), Group("alone", 1)]
    made = table([lane("slow", 1.0), lane("fast", 100.0), lane("alone", 10.0)], shared, 2)
    assert (made.quota("slow"), made.quota("fast"), made.window(0)) == (20, 500, 520)
    assert made.quota("alone") is None


def test_parts_of_a_window_that_is_cut_are_cut_alike() -> None:
    many = [lane(f"n{number}", 1000.0) for number in range(10)]
    made = LaneTable.of(many, [Group(each.name, 0) for each in many], partitions=1)
    assert made.window(0) == 5000
    assert {made.quota(each.name) for each in many} == {500}


def test_a_carrier_has_a_part_of_what_its_group_may_hold_by_its_rate_and_at_most_half() -> None:
    granted = {"att": 75.0, "tmobile": 0.5}
    groups = [Group("alone", 0, carriers=granted), Group("g", 1, carriers=granted), Group("h", 1)]
    made = table([lane("alone", 225.0), lane("g", 10.0), lane("h", 10.0)], groups, 2)
    assert (made.window(0), made.part_of("alone", "att"), made.part_of("alone", "tmobile")) == (1000, 375, 20)
    assert (made.quota("g"), made.part_of("g", "att"), made.part_of("g", "tmobile")) == (50, 25, 20)
    assert made.part_of("alone", "verizon") is None


async def test_what_is_for_a_carrier_that_is_full_comes_back_at_its_pace_and_leaves_room_for_others() -> None:
    async with world(lane("a", 1.0, group="a"), groups=[Group("a", PARTITION, carriers={"tmobile": 0.1})]) as running:
        overflow = overflow_of(running)
        taken = [take(running, overflow, order(lane="a", carrier="tmobile")) for _ in range(16)]
        await running.until(lambda: len(running.told("comms.deferred.1s")) == 6)
        assert [each.finished for each in taken[10:]] == [1] * 6
        began_ms = wall_ms()
        waits_s = sorted((each.due_at - began_ms) / 1000 for each in running.told("comms.deferred.1s"))
        # After what is held (one of ten may have left), and one after the other as they can be sent.
        assert 60.0 <= waits_s[0] <= 101.0
        assert [late - soon for soon, late in itertools.pairwise(waits_s)] == pytest.approx([10.0] * 5, abs=1.0)
        await running.until(lambda: taken[0].finished)
        take(running, overflow, order(lane="a", carrier="tmobile"))
        assert overflow.is_full(order(lane="a", carrier="tmobile"), TOPIC)
        assert not overflow.is_full(order(lane="a", carrier="att"), TOPIC)
        assert not overflow.is_full(order(lane="a"), TOPIC)
        running.engine.drop()
        assert not overflow.is_full(order(lane="a", carrier="tmobile"), TOPIC)


@pytest.mark.parametrize("carrier", ["tmobile", None])
async def test_what_is_urgent_comes_back_before_what_is_not_wherever_there_is_no_room(carrier: str | None) -> None:
    """By then all that is urgent has left, and the rest of the lane is far from it."""
    groups = [Group("a", PARTITION, carriers={"tmobile": 0.5}), Group("b", PARTITION)]
    lanes = [lane("a", 0.5, group="a"), lane("b", 1.0, group="b")]
    async with world(*lanes, groups=groups) as running:
        for number in range(300):
            sent = order(lane="a", carrier=carrier, message_class=MessageClass.BULK, segments=3)
            running.take(sent, Reason.LANE_FULL if number >= 200 else None)
        await running.until(lambda: len(running.told("comms.deferred.1s")) == 100)
        began_ms = wall_ms()
        urgent = [
            running.take(
                order(lane="a", carrier=carrier, message_class=MessageClass.CRITICAL),
                Reason.LANE_FULL if number >= 10 else None,
            )
            for number in range(12)
        ]
        await running.until(lambda: len(running.told("comms.deferred.1s")) == 102)
        waits_s = [(each.due_at - began_ms) / 1000 for each in running.told("comms.deferred.1s")]
        assert min(waits_s[:100]) > 1_000.0, "as long as what the lane holds lasts"
        assert max(waits_s[100:]) <= 91.0, "as long as what is urgent in it lasts, a minute at least"
        assert [each.finished for each in urgent[10:]] == [1, 1]


async def test_a_group_among_others_holds_its_part_and_the_rest_comes_again_a_minute_later() -> None:
    both = [Group("slow", 0), Group("b", 0)]
    async with world(lane("slow", 0.01), lane("b", 1e6), groups=both) as running:
        overflow = overflow_of(running)
        taken = [take(running, overflow, order(lane="slow")) for _ in range(30)]
        await running.until(lambda: len(running.told("comms.deferred.1s")) == 10)
        back = running.told("comms.deferred.1s")
        assert {(each.round, each.reason) for each in back} == {(1, Reason.LANE_FULL)}
        # As long as the 20 segments last that the lane holds, and not all in one moment.
        assert all(2_000_000 - 1_000 < each.due_at - wall_ms() <= 3_000_000 for each in back)
        assert len({each.due_at // 1000 for each in back}) > 5
        assert [each.finished for each in taken[20:]] == [1] * 10
        other = take(running, overflow, order(lane="b"))
        await running.until(lambda: other.finished)
        # One of the slow ones has been sent and made room for one more.
        assert running.engine.tenure.count(TOPIC, "slow") == 19
        assert not overflow.is_full(order(lane="slow"), TOPIC)
        take(running, overflow, order(lane="slow"))
        assert overflow.is_full(order(lane="slow"), TOPIC)
        assert not overflow.is_full(order(lane="b"), TOPIC)


async def test_messages_that_wait_while_thousands_pass_them_are_given_back_before_the_partition_stands_still() -> None:
    async with world(lane("slow", 0.01), lane("b", 1e6), groups=[Group("slow", 0), Group("b", 0)]) as running:
        limit = running.scheduler.table.held(PARTITION)
        sent = [order(lane="slow") for _ in range(10)]
        first = running.take(sent[0])
        await running.until(lambda: first.finished)
        for each in sent[1:]:
            running.take(each)
        overflow_of(running, (1, limit // HELD_PART)).sweep([TOPIC])
        await asyncio.sleep(NOTHING_HAPPENS_S)
        assert running.told("comms.deferred.1s") == [], "half of what may be held is nothing yet"
        overflow_of(running, (1, 8)).sweep([TP("comms.dispatch.normal", PARTITION + 1)])
        running.scheduler.table._held[PARTITION] = 8  # type: ignore[index]  # not 10,000 records
        overflow_of(running, (1, 8)).sweep([TOPIC])
        await running.until(lambda: len(running.told("comms.deferred.1s")) == 4)
        assert {each.message_id for each in running.told("comms.deferred.1s")} == {
            each.message_id for each in sent[1:5]
        }, "the oldest half"
        assert len(running.engine.tenure.held) == 5


def test_more_may_be_delivered_beyond_one_message_where_the_rate_is_higher() -> None:
    made = table([lane("slow", 1.0), lane("fast", 500.0)], [Group("slow", 0), Group("fast", 1)], 2)
    assert (made.held(0), made.held(1)) == (10_000, 60_000)


async def test_a_paused_app_keeps_half_of_the_window_and_the_others_go_on() -> None:
    async with world(lane("a", 100.0)) as running:
        overflow = overflow_of(running)
        pause(running, APP, "loud")
        sent = [order(app="loud") for _ in range(400)]
        for each in sent:
            running.take(each)
        overflow.sweep([TOPIC])
        await running.until(lambda: len(running.told("comms.deferred.1s")) == 150)
        back = {each.message_id for each in running.told("comms.deferred.1s")}
        assert back == {each.message_id for each in sent[250:]}, "the oldest stay"
        assert len(running.engine.tenure.held) == running.scheduler.table.window(PARTITION) // HELD_PART
        overflow.sweep([TOPIC])
        quiet = running.take(order(app="quiet"))
        await running.until(lambda: quiet.finished)
        assert len(running.told("comms.deferred.1s")) == 150


@pytest.mark.parametrize("paused", [("a",), ("a", "b")])
async def test_a_paused_lane_gives_back_only_while_another_lane_of_its_partition_is_open(
    paused: tuple[str, ...],
) -> None:
    lanes = [lane("a", 10.0, group="pair"), lane("b", 10.0, group="pair")]
    async with world(*lanes, groups=[Group("pair", 0, 1e6)]) as running:
        pause(running, LANE, *paused)
        for _ in range(80):
            running.take(order(lane="a"))
        overflow_of(running).sweep([TOPIC])
        await asyncio.sleep(NOTHING_HAPPENS_S)
        keep = running.scheduler.table.window(PARTITION) // HELD_PART if paused == ("a",) else 80
        await running.until(lambda: len(running.engine.tenure.held) == keep)
        assert len(running.told("comms.deferred.1s")) == 80 - keep


async def test_nothing_is_given_back_while_the_partitions_are_given_away() -> None:
    async with world(lane("a", 100.0)) as running:
        pause(running, APP, "shop")
        for _ in range(400):
            running.take(order())
        running.engine.tenure.closing = True
        overflow_of(running).sweep([TOPIC])
        await asyncio.sleep(NOTHING_HAPPENS_S)
        assert running.attempts() == []
        assert len(running.engine.tenure.held) == 400
