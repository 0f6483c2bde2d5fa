"""Budgets that several groups share: never over the rate, in whatever order what they share is short, and used up."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.records import MessageClass
from streams.dispatch.backlog import Unread, etas
from streams.dispatch.bucket import RESOLUTION_S
from streams.dispatch.lanes import Budget, Group
from streams.dispatch.outlook import outlooks
from streams.dispatch.pace_log import PaceLog, Rates

from .simulation import Simulation, job, lane, scheduler, table, worst_excess
from .test_attempts import intent

LANES = {"a": "g", "b": "g", "c": "h", "d": "alone"}
FACTORS = st.sampled_from([0.4, 0.8, 1.0, 2.0])


def brand(rate: float, group: float | None, budget: float, other: float | None = None, **settings: Any) -> Simulation:
    """Lanes a and b in group g and c in group h, which share a budget; d has nothing to do with it. Factors of rate."""
    lanes = table(
        [lane(name, rate, group=of) for name, of in LANES.items()],
        [
            Group("g", 0, None if group is None else rate * group, "acme"),
            Group("h", 0, None if other is None else rate * other, "acme"),
            Group("alone", 0),
        ],
        budgets=[Budget("acme", rate * budget)],
    )
    return Simulation(scheduler(lanes, **settings))


def excess(simulation: Simulation, lanes: str, rate: float) -> float:
    return worst_excess([(s.at, s.job.segments) for s in simulation.starts if s.job.order.lane in lanes], rate)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rate=st.sampled_from([0.1, 1.0, 10.0, 100.0]),
    group=st.none() | FACTORS,
    other=st.none() | FACTORS,
    budget=FACTORS,
    late=st.floats(0.0, 0.02),
    intent_s=st.floats(0.0, 0.05),
    connect=st.sampled_from([0.0, 0.003, 0.1, 1.0]),
)
@example(seed=61, rate=0.1, group=0.4, other=None, budget=0.4, late=1 / 64, intent_s=0.0, connect=0.0)
def test_no_window_of_lane_group_or_budget_holds_more_than_its_rate_and_one_largest_message(
    seed: int,
    rate: float,
    group: float | None,
    other: float | None,
    budget: float,
    late: float,
    intent_s: float,
    connect: float,
) -> None:
    rnd = random.Random(seed)
    simulation = brand(rate, group, budget, other, max_in_flight=8)
    simulation.lateness = lambda: rnd.random() * late
    simulation.intent_s = lambda: rnd.random() * intent_s
    simulation.connect_s = lambda: rnd.random() * connect if rnd.random() < 0.5 else 0.0
    simulation.post_s = lambda: rnd.random() * 0.1
    jobs = []
    for _ in range(160):
        each = job(
            lane=rnd.choice("abcd"),
            segments=rnd.choice([1, 1, 1, 2, 3, 10]),
            message_class=rnd.choice(list(MessageClass)),
            app=rnd.choice(["x", "y"]),
        )
        jobs.append(each)
        simulation.arrive(rnd.random() * 20.0 / rate, each)
    simulation.run(100_000.0)

    assert Counter(id(start.job) for start in simulation.starts) == Counter(id(each) for each in jobs)
    of_group = rate * group if group is not None else None
    of_other = rate * other if other is not None else None
    for lanes, allowed in (("ab", of_group), ("c", of_other), ("abc", rate * budget), *((n, rate) for n in LANES)):
        if allowed is not None:
            assert excess(simulation, lanes, allowed) <= allowed * RESOLUTION_S + 1e-6


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), rate=st.sampled_from([1.0, 10.0, 100.0]), group=st.none() | FACTORS)
def test_a_backlog_uses_up_the_budget(seed: int, rate: float, group: float | None) -> None:
    rnd = random.Random(seed)
    simulation = brand(rate, group, 0.5)
    simulation.intent_s = lambda: 0.001 + rnd.random() * 0.02
    simulation.post_s = lambda: 0.05
    for _ in range(300):
        for name in "abc":
            simulation.arrive(0.0, job(lane=name, segments=rnd.choice([1, 2, 3])))
    simulation.run(300 / rate)
    segments = sum(start.job.segments for start in simulation.starts[:-1])
    assert segments / (simulation.starts[-1].at - simulation.starts[0].at) >= 0.97 * 0.5 * rate


def test_groups_take_turns_at_the_budget_and_who_does_not_share_it_is_not_held_up() -> None:
    simulation = brand(10.0, 1.5, 1.0, 1.5)
    for _ in range(600):
        for name in LANES:
            simulation.arrive(0.0, job(lane=name))
    simulation.run(30.0)
    served = Counter(start.job.order.lane for start in simulation.starts)
    assert served["d"] >= 295
    assert served["a"] + served["b"] + served["c"] == pytest.approx(300, abs=5)
    assert served["c"] == pytest.approx(150, abs=5), "in turn between groups, then between the lanes of one"
    assert served["a"] == pytest.approx(75, abs=5)


def test_urgent_goes_first_at_the_budget_of_another_groups_backlog() -> None:
    simulation = brand(10.0, 1.0, 0.5)
    for _ in range(200):
        simulation.arrive(0.0, job(lane="a", message_class=MessageClass.BULK))
        simulation.arrive(0.0, job(lane="b", message_class=MessageClass.BULK))
    urgent = job(lane="c", message_class=MessageClass.CRITICAL)
    simulation.arrive(2.03, urgent)
    simulation.run(10.0)
    (at,) = (start.at for start in simulation.starts if start.job is urgent)
    assert at - 2.03 <= 1 / 5.0 + 0.01


@settings(max_examples=40, deadline=None)
@given(
    before=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 10)), min_size=1, max_size=25),
    after=st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 10)), min_size=1, max_size=25),
    down_s=st.floats(0.0, 3.0),
    budget=FACTORS,
)
def test_the_budget_holds_across_a_change_of_owner(
    before: list[tuple[str, int]], after: list[tuple[str, int]], down_s: float, budget: float
) -> None:
    now_ms, rate = 1_000_000, 2.0
    old, new = brand(rate, 1.0, budget), brand(rate, 1.0, budget)
    for name, segments in before:
        old.arrive(0.0, job(lane=name, segments=segments))
    old.run(1_000.0)
    died = old.starts[-1].at + down_s
    log = PaceLog(new.scheduler.table, Rates.in_force(new.scheduler))
    for number, start in enumerate(old.starts):
        log.add(
            intent(number, at=now_ms + int(start.at * 1000), lane=start.job.order.lane, segments=start.job.segments)
        )
    log.hand_over(new.scheduler, now=died, now_ms=now_ms + int(died * 1000))
    for name, segments in after:
        new.arrive(died, job(lane=name, segments=segments))
    new.now = died
    new.run(10_000.0)
    both = Simulation(new.scheduler, starts=[*old.starts, *new.starts])
    assert len(both.starts) == len(before) + len(after)
    # Wall times in the log are whole milliseconds.
    assert excess(both, "abc", rate * budget) <= rate * budget * (RESOLUTION_S + 0.002) + 1e-6


def test_estimates_go_by_the_budget_where_it_is_what_is_short() -> None:
    plan = brand(10.0, None, 0.5, 0.2).scheduler
    for name in "abc":
        for _ in range(10):
            plan.push(job(lane=name))
    assert {name: outlook.eta_s for name, outlook in outlooks(plan).items()} == {"a": 6.0, "b": 6.0, "c": 6.0, "d": 0.0}
    waits = etas(plan, {(0, 3): Unread(150, 0.0)})
    # d sends 10 per second, everything that shares the budget 5 together: 150 are read at 15 per second.
    assert waits["a"][MessageClass.BULK] == pytest.approx(150 / 15.0 + 30 / 5.0)
