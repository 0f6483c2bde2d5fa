"""When a message that is admitted now could leave its lane at the earliest, by class."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from schemas.records import MessageClass
from streams.dispatch.backlog import Unread, etas
from streams.dispatch.lanes import Group, Lane
from streams.dispatch.scheduler import Scheduler

from .simulation import job, lane, scheduler, table

CRITICAL, HIGH, NORMAL, BULK = range(4)
IN_KAFKA = 1000


def made(lanes: Iterable[Lane], groups: Iterable[Group] = (), **partitions: Any) -> Scheduler:
    return scheduler(table(lanes, groups, **partitions))


def waits(of: Scheduler, *ranks: int, records: int = IN_KAFKA, per_s: float = 0.0, name: str = "a") -> list[float]:
    """Of the lane, when so much lies unread of each of these classes in partition 0."""
    found = etas(of, {(0, rank): Unread(records, per_s) for rank in ranks})[name]
    return [round(found.get(each, 0.0), 3) for each in MessageClass]


def test_a_lane_of_which_nothing_lies_in_kafka_is_free() -> None:
    free = made([lane("a", 10.0)])
    for _ in range(50):
        free.push(job(lane="a", message_class=MessageClass.BULK))
    assert etas(free, {}) == {"a": {}}


def test_critical_does_not_wait_for_bulk_nor_any_class_for_a_lower_one() -> None:
    one = made([lane("a", 10.0)])
    assert waits(one, BULK) == [0, 0, 0, 100.0]
    assert waits(one, HIGH) == [0, 100.0, 0, 0]
    assert waits(one, CRITICAL) == [100.0, 0, 0, 0]


def test_a_lower_class_waits_for_a_higher_one_but_not_longer_than_its_share_takes() -> None:
    one = made([lane("a", 10.0)])
    assert waits(one, CRITICAL, BULK)[BULK] == 200.0
    unread = {(0, CRITICAL): Unread(10_000, 0.0), (0, BULK): Unread(100, 0.0)}
    assert etas(one, unread)["a"][MessageClass.BULK] == pytest.approx(50.0)  # 10 s of its own, at a fifth of the rate


def test_what_is_held_of_a_higher_class_counts_and_of_its_own_does_not() -> None:
    """Inside a class apps take turns, and the earliest deadline goes first."""
    one = made([lane("a", 10.0)])
    for message_class in (MessageClass.NORMAL, MessageClass.BULK):
        for _ in range(50):
            one.push(job(lane="a", message_class=message_class))
    assert waits(one, BULK)[BULK] == 105.0


def test_what_is_unread_is_taken_for_as_long_as_what_is_held() -> None:
    one = made([lane("a", 10.0)])
    for segments in (1, 5):
        one.push(job(lane="a", message_class=MessageClass.BULK, segments=segments))
    assert waits(one, BULK)[BULK] == 300.0


def test_what_leaves_without_being_sent_makes_room_faster_than_the_rate() -> None:
    one = made([lane("a", 10.0)])
    assert waits(one, BULK, per_s=500.0)[BULK] == 2.0
    assert waits(one, BULK, per_s=5.0)[BULK] == 100.0, "a paused lane is not told to be slower: it may be resumed"


def test_lanes_of_one_partition_wait_for_what_is_unread_in_it_at_the_rate_of_all() -> None:
    both = [lane("a", 10.0, group="pair"), lane("b", 30.0, group="pair")]
    assert waits(made(both, [Group("pair", 0)]), BULK, name="a")[BULK] == 25.0
    assert waits(made(both, [Group("pair", 0, 20.0)]), BULK, name="b")[BULK] == 50.0, "their budget is less"
    assert waits(made([lane("a", 10.0), lane("b", 40.0)], partitions=1), BULK, name="a")[BULK] == 20.0


def test_what_the_group_holds_of_a_higher_class_counts_at_its_budget() -> None:
    two = made([lane("a", 10.0, group="pair"), lane("b", 10.0, group="pair")], [Group("pair", 0, 10.0)])
    for _ in range(100):
        two.push(job(lane="b", message_class=MessageClass.NORMAL))
    assert waits(two, BULK, name="a")[BULK] == 110.0


def test_a_changed_rate_counts() -> None:
    one = made([lane("a", 10.0)])
    one.lanes["a"].pace.bucket.rate = 1.0
    assert waits(one, BULK)[BULK] == 1000.0


def test_a_lane_of_another_partition_does_not_wait() -> None:
    two = made([lane("a", 10.0), lane("b", 10.0)])
    assert waits(two, BULK, name="b") == [0, 0, 0, 0]
