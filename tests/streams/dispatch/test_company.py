"""Slow lanes send at common moments: how many of them wake the process up, and what it costs a lane."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import MessageClass
from streams.dispatch.bucket import RESOLUTION_S
from streams.dispatch.company import APART_S, BUNCH_S, EARLY_S, WAITS_PART, Company, apart_s
from streams.dispatch.jobs import Job
from streams.dispatch.lanes import Group

from .simulation import Simulation, job, lane, scheduler, table

SLOW_RATES = st.floats(0.01, 5.0)


@given(rate=st.floats(0.01, 1000.0))
def test_the_moments_of_a_rate_are_some_way_apart_and_a_whole_number_of_them_lies_between_two_messages(
    rate: float,
) -> None:
    apart = apart_s(rate)
    if rate > 5.001:
        assert apart == 0
    elif rate < 4.999:
        assert 0.018 <= apart <= APART_S + 1e-9
        assert apart * rate <= 0.1 + 1e-9
        assert 1 / rate / apart == pytest.approx(round(1 / rate / apart), abs=1e-6)


def _with_backlogs(rate: float, *, lateness_s: float = 0.0, seed: int = 1) -> Simulation:
    """60 lanes of one rate, that come to their pace at moments of their own and have texts of one to three segments."""
    rnd = random.Random(seed)
    names = [f"lane{number}" for number in range(60)]
    simulation = Simulation(
        scheduler(table(lane(name, rate) for name in names)), lateness=lambda: rnd.uniform(0, lateness_s), now=50.0
    )
    for name in names:
        simulation.scheduler.lanes[name].pace.bucket.hand_over(paid_at=50.0 + rnd.random() / rate, largest=3)
        for _ in range(100):
            simulation.arrive(50.0, job(lane=name, segments=rnd.choice((1, 1, 1, 2, 3))))
    simulation.run(50.0 + 60.0 / rate)
    return simulation


@pytest.mark.parametrize("rate", [0.3, 1.0, 3.0])
@pytest.mark.parametrize("lateness_s", [0.0, 0.004])
def test_sixty_lanes_of_one_rate_start_at_few_moments_and_use_their_pace(rate: float, lateness_s: float) -> None:
    simulation = _with_backlogs(rate, lateness_s=lateness_s)
    settled = [start for start in simulation.starts if start.at > 50.0 + 10.0 / rate]
    apart = apart_s(rate)
    near = sum((start.at + 1e-6) % apart <= BUNCH_S + lateness_s for start in settled)
    assert near / len(settled) >= 0.99
    by_lane: Counter[str] = Counter()
    for start in simulation.starts:
        by_lane[start.job.order.lane] += start.job.segments
    assert min(by_lane.values()) >= 60 * 0.98 - 3


@given(rate=SLOW_RATES, seed=st.integers(0, 1 << 30), late_s=st.floats(0.0, 0.2))
def test_a_lane_that_always_comes_late_waits_for_company_no_more_than_a_small_part_of_its_time(
    rate: float, seed: int, late_s: float
) -> None:
    rnd, company = random.Random(seed), Company()
    due = began = 1000.0
    waited_s = 0.0
    for _ in range(400):
        moment = company.moment(due, rate, due - 0.05)
        started = moment + rnd.uniform(0, late_s)
        waited_s += moment - due if moment - due > EARLY_S else 0
        company.started(due, started)
        due = started + rnd.choice((1, 2, 3)) / rate - RESOLUTION_S
    assert waited_s <= WAITS_PART * (due - began) + APART_S


def test_an_urgent_message_starts_as_soon_as_it_may() -> None:
    for message_class, waits in ((MessageClass.NORMAL, True), (MessageClass.CRITICAL, False)):
        simulation = Simulation(scheduler(table([lane("a", 1.0)])), now=50.0)
        simulation.scheduler.lanes["a"].pace.bucket.hand_over(paid_at=52.031, largest=1)
        simulation.arrive(50.0, job(lane="a", message_class=message_class))
        simulation.run(60.0)
        [start] = simulation.starts
        assert start.at == pytest.approx(52.1 if waits else 52.031, abs=0.0011), message_class


def test_a_message_of_a_lane_that_has_been_idle_starts_at_once() -> None:
    simulation = Simulation(scheduler(table([lane("a", 1.0)])))
    simulation.scheduler.lanes["a"].pace.bucket.hand_over(paid_at=40.031, largest=1)
    simulation.arrive(50.023, job(lane="a"))
    simulation.run(60.0)
    assert [start.at for start in simulation.starts] == [50.023]


def test_where_a_budget_is_shared_no_lane_lets_it_lie_to_wait_for_company() -> None:
    simulation = Simulation(
        scheduler(table([lane("a", 4.0, group="g"), lane("b", 4.0, group="g")], [Group("g", 0, rate=1.0)])), now=50.0
    )
    simulation.scheduler.groups["g"].pace.bucket.hand_over(paid_at=50.041, largest=1)
    for number in range(8):
        simulation.arrive(50.0, job(lane="ab"[number % 2]))
    simulation.run(60.0)
    starts = [start.at for start in simulation.starts]
    assert starts == pytest.approx([50.04 + number for number in range(8)], abs=0.002)


def test_where_a_carrier_grants_a_rate_no_lane_lets_it_lie_to_wait_for_company() -> None:
    group = Group("g", 0, carriers={"att": 1.0})
    simulation = Simulation(scheduler(table([lane("a", 4.0, group="g"), lane("b", 4.0, group="g")], [group])), now=50.0)
    simulation.scheduler.carriers["g", "att"].pace.bucket.hand_over(paid_at=50.041, largest=1)
    for number in range(8):
        simulation.arrive(50.0, job(lane="ab"[number % 2], carrier="att"))
    simulation.run(60.0)
    starts = [start.at for start in simulation.starts]
    assert starts == pytest.approx([50.04 + number for number in range(8)], abs=0.002)


def test_lanes_that_come_late_to_each_moment_use_their_pace_all_the_same() -> None:
    simulation = _with_backlogs(1.0, lateness_s=0.06)
    sent = sum(start.job.segments for start in simulation.starts)
    assert sent / (60 * 60.0) >= 0.985, "0.5 % for company, the rest is what the timer is late"


def test_what_starts_at_one_moment_is_planned_at_another() -> None:
    simulation = _with_backlogs(1.0)
    plan, moments = simulation.scheduler.plan, []

    def noting(now: float) -> list[Job]:
        planned = plan(now)
        moments.extend([now] * len(planned))
        return planned

    simulation.scheduler.plan = noting  # type: ignore[method-assign]
    simulation.run(simulation.now + 10.0)
    assert len(moments) > 100
    assert all((each + 1e-6) % apart_s(1.0) <= BUNCH_S for each in moments)
