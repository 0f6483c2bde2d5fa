"""Quotas: what one app may ask for, in one process and in several, and that it is nobody else's matter."""

from __future__ import annotations

import random
from math import ceil, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.policy.config import Quota
from streams.policy.quotas import DAY_MS, NOW, Quotas, Turn

BEGIN_MS = 20_000 * DAY_MS
ALL = 16


class World:
    """Processes that share the partitions, and one clock for all."""

    def __init__(self, *held: range, quotas: dict[str, Quota]) -> None:
        self.now_s = 1000.0
        self.processes = [Quotas(quotas, partitions=ALL, clock=lambda: self.now_s, now_ms=self.now_ms) for _ in held]
        for process, partitions in zip(self.processes, held, strict=True):
            process.partitions_held(partitions)
        self.held = held

    def now_ms(self) -> int:
        return BEGIN_MS + round((self.now_s - 1000.0) * 1000)

    def request(self, app: str, partition: int = 0) -> Turn:
        """One request, charged unless it is denied."""
        [process] = [each for each, held in zip(self.processes, self.held, strict=True) if partition in held]
        turn = process.ask(app)
        if not turn.day_over:
            process.charge(app, partition)
        return turn


def alone(**quotas: Quota) -> World:
    return World(range(ALL), quotas=quotas)


def test_an_app_without_quota_is_not_limited() -> None:
    world = alone(shop=Quota())
    assert {world.request(app) for app in ("shop", "other") for _ in range(1000)} == {NOW}


def test_a_second_s_worth_goes_at_once_and_the_rest_in_turn() -> None:
    world = alone(shop=Quota(per_second=4))
    turns = [world.request("shop").wait_until for _ in range(8)]
    assert turns[:4] == [None] * 4
    assert turns[4:] == [BEGIN_MS + 1000 + wait for wait in (250, 500, 750, 1000)]


def test_an_app_that_keeps_its_pace_never_waits() -> None:
    world = alone(shop=Quota(per_second=4))
    for _ in range(1000):
        assert world.request("shop") == NOW
        world.now_s += 0.25


def test_asking_costs_nothing() -> None:
    [quotas] = alone(shop=Quota(per_second=1, per_day=1)).processes
    assert {quotas.ask("shop") for _ in range(10)} == {NOW}


def test_an_app_within_its_quota_waits_for_nobody_else_s() -> None:
    world = alone(wild=Quota(per_second=5, per_day=50), shop=Quota(per_second=5, per_day=50))
    for _ in range(50):
        wild = [world.request("wild") for _ in range(100)]
        assert world.request("shop") == NOW
        world.now_s += 0.2
    assert wild[-1] == Turn(day_over=True)


@settings(max_examples=100, deadline=None)
@given(
    st.floats(0.2, 20),
    st.sampled_from([(16,), (8, 8), (4, 4, 4, 4), (1, 15), (13, 3)]),
    st.lists(st.tuples(st.floats(0, 0.5), st.integers(0, ALL - 1)), min_size=1, max_size=120),
)
def test_however_requests_come_no_stretch_of_time_gets_more_than_promised(
    per_second: float, split: tuple[int, ...], requests: list[tuple[float, int]]
) -> None:
    ends = [sum(split[: index + 1]) for index in range(len(split))]
    held = [range(end - size, end) for end, size in zip(ends, split, strict=True)]
    world = World(*held, quotas={"shop": Quota(per_second=per_second)})
    starts = []
    for gap, partition in requests:
        world.now_s += gap
        starts.append(world.request("shop", partition).wait_until or world.now_ms())
    starts.sort()
    for first, begin in enumerate(starts):
        for last in range(first, len(starts)):
            stretch_s = (starts[last] - begin) / 1000
            assert last - first + 1 <= per_second * (stretch_s + 2) + len(split) * 1.1


def test_a_rate_follows_the_partitions_held() -> None:
    world = alone(shop=Quota(per_second=16))
    [quotas] = world.processes
    quotas.partitions_held(range(4))
    turns = [world.request("shop").wait_until for _ in range(6)]
    assert turns == [None] * 4 + [BEGIN_MS + 1250, BEGIN_MS + 1500]


def test_one_process_lets_in_just_the_quota_of_the_day() -> None:
    world = alone(shop=Quota(per_day=100))
    turns = [world.request("shop", number % ALL) for number in range(150)]
    assert turns == [NOW] * 100 + [Turn(day_over=True)] * 50


def test_a_day_begins_at_midnight_utc() -> None:
    world = alone(shop=Quota(per_day=1))
    assert world.request("shop") == NOW
    world.now_s += DAY_MS / 1000 - 0.001
    assert world.request("shop") == Turn(day_over=True)
    world.now_s += 0.001
    assert world.request("shop") == NOW
    world.now_s -= 10  # a clock that is put back begins no day
    assert world.request("shop") == Turn(day_over=True)


@pytest.mark.parametrize("processes", [2, 4])
def test_several_processes_deny_no_app_within_its_quota_and_let_in_little_more(processes: int) -> None:
    per_day, share = 10_000, ALL // processes
    held = [range(begin, begin + share) for begin in range(0, ALL, share)]
    dice = random.Random(7)  # who is written to
    world = World(*held, quotas={"shop": Quota(per_day=per_day)})
    assert {world.request("shop", dice.randrange(ALL)) for _ in range(per_day)} == {NOW}
    more = sum(world.request("shop", dice.randrange(ALL)) == NOW for _ in range(per_day))
    assert 0 < more <= processes * ceil(4 * sqrt(per_day / processes * (1 - 1 / processes)))


def test_a_partition_that_goes_takes_its_count_along_and_one_that_comes_back_brings_it() -> None:
    world = alone(shop=Quota(per_day=160))
    [quotas] = world.processes
    assert {world.request("shop", number % ALL) for number in range(160)} == {NOW}
    quotas.partitions_held(range(8))  # 80 were counted here; 80 are its share, and 26 by chance
    assert [world.request("shop", 0) for _ in range(27)] == [NOW] * 26 + [Turn(day_over=True)]
    quotas.partitions_held(range(ALL))
    assert quotas.ask("shop") == Turn(day_over=True)
