"""What single carriers grant a campaign: each kept, and nobody else held up by one that is backlogged."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import MessageClass
from streams.dispatch.bucket import RESOLUTION_S
from streams.dispatch.lanes import Budget, Group

from .simulation import Simulation, job, lane, scheduler, table, worst_excess

CRITICAL, HIGH, NORMAL, BULK = MessageClass
CARRIERS = ("att", "tmobile", "verizon", None)


def campaign(
    rate: float, lanes: str = "a", *, group: float | None = None, brand: float | None = None, **carriers: float
) -> Simulation:
    """Lanes of this rate in one group, which carriers limit."""
    made = table(
        [lane(name, rate, group="g") for name in lanes],
        [Group("g", 0, group, None if brand is None else "acme", carriers)],
        budgets=[] if brand is None else [Budget("acme", brand)],
    )
    return Simulation(scheduler(made))


def segments_per_s(simulation: Simulation, until: float, **of: Any) -> float:
    segments: int = sum(start.job.segments for start in starts(simulation, **of) if start.at <= until)
    return segments / until


def starts(simulation: Simulation, **of: Any) -> list[Any]:
    return [s for s in simulation.starts if all(getattr(s.job.order, name) == value for name, value in of.items())]


def excess(simulation: Simulation, carrier: str, rate: float) -> float:
    return worst_excess([(start.at, start.job.segments) for start in starts(simulation, carrier=carrier)], rate)


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rate=st.sampled_from([0.1, 1.0, 10.0, 100.0]),
    att=st.sampled_from([0.2, 0.5, 1.0, 3.0]),
    tmobile=st.sampled_from([0.1, 0.5, 1.0]),
    group=st.sampled_from([None, 0.5, 1.0]),
    brand=st.sampled_from([None, 0.7]),
    late=st.floats(0.0, 0.02),
    intent_s=st.floats(0.0, 0.05),
    connect=st.sampled_from([0.0, 0.003, 0.1, 1.0]),
)
def test_no_window_of_a_carrier_lane_or_budget_holds_more_than_its_rate_and_one_largest_message(
    seed: int,
    rate: float,
    att: float,
    tmobile: float,
    group: float | None,
    brand: float | None,
    late: float,
    intent_s: float,
    connect: float,
) -> None:
    rnd = random.Random(seed)
    of_group = None if group is None else rate * group
    of_brand = None if brand is None else rate * brand
    simulation = campaign(rate, "ab", group=of_group, brand=of_brand, att=rate * att, tmobile=rate * tmobile)
    simulation.lateness = lambda: rnd.random() * late
    simulation.intent_s = lambda: rnd.random() * intent_s
    simulation.connect_s = lambda: rnd.random() * connect if rnd.random() < 0.5 else 0.0
    simulation.post_s = lambda: rnd.random() * 0.1
    jobs = []
    for _ in range(100):
        each = job(
            lane=rnd.choice("ab"),
            segments=rnd.choice([1, 1, 1, 2, 3, 10]),
            message_class=rnd.choice(list(MessageClass)),
            app=rnd.choice(["x", "y"]),
            carrier=rnd.choice(CARRIERS),
        )
        jobs.append(each)
        simulation.arrive(rnd.random() * 20.0 / rate, each)
    simulation.run(100_000.0)

    assert Counter(id(start.job) for start in simulation.starts) == Counter(id(each) for each in jobs)
    for carrier, factor in (("att", att), ("tmobile", tmobile)):
        assert excess(simulation, carrier, rate * factor) <= rate * factor * RESOLUTION_S + 1e-6
    for name in "ab":
        of_lane = [(start.at, start.job.segments) for start in starts(simulation, lane=name)]
        assert worst_excess(of_lane, rate) <= rate * RESOLUTION_S + 1e-6
    for allowed in (of_group, of_brand):
        if allowed is not None:
            together = [(start.at, start.job.segments) for start in simulation.starts]
            assert worst_excess(together, allowed) <= allowed * RESOLUTION_S + 1e-6
    for budget in simulation.scheduler.carriers.values():
        assert budget.pace.ahead == [0, 0, 0, 0]
        assert budget.parking.count == 0


@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rate=st.sampled_from([1.0, 10.0, 100.0, 225.0]),
    tmobile=st.sampled_from([0.05, 0.2, 1 / 3]),
)
def test_a_lane_is_used_up_while_one_carrier_is_backlogged(seed: int, rate: float, tmobile: float) -> None:
    """T-Mobile's lie before all others, and are most of them."""
    rnd = random.Random(seed)
    simulation = campaign(rate, tmobile=rate * tmobile)
    simulation.intent_s = lambda: 0.001 + rnd.random() * 0.02
    simulation.post_s = lambda: 0.05
    for _ in range(600):
        simulation.arrive(0.0, job(carrier="tmobile", segments=rnd.choice([1, 2, 3])))
    for _ in range(400):
        simulation.arrive(0.0, job(carrier=rnd.choice(["att", "verizon", None]), segments=rnd.choice([1, 2, 3])))
    until = 400.0 / rate
    simulation.run(until)
    assert segments_per_s(simulation, until) >= 0.97 * rate
    # In a lane that is used up each message comes up to one of the lane's later than its carrier would let it.
    assert segments_per_s(simulation, until, carrier="tmobile") >= 0.97 / (1 / (rate * tmobile) + 3 / 2 / rate)


def test_three_backlogged_carriers_each_get_what_they_grant_and_the_rest_goes_to_everybody_else() -> None:
    simulation = campaign(225.0, att=75.0, tmobile=40.0, verizon=20.0)
    simulation.intent_s = lambda: 0.005
    for _ in range(2000):
        for carrier in CARRIERS:
            simulation.arrive(0.0, job(carrier=carrier))
    simulation.run(10.0)
    assert segments_per_s(simulation, 10.0) == pytest.approx(225.0, rel=0.02)
    # A lane that is used up starts in its own slots only: each message comes up to one of them after it might.
    for carrier, granted in (("verizon", 20.0), ("tmobile", 40.0), ("att", 75.0)):
        assert segments_per_s(simulation, 10.0, carrier=carrier) >= 0.97 / (1 / granted + 1 / 225.0)
        assert segments_per_s(simulation, 10.0, carrier=carrier) <= granted + 0.1


@pytest.mark.parametrize("message_class", list(MessageClass))
def test_a_message_to_another_carrier_does_not_wait_behind_a_backlogged_one(message_class: MessageClass) -> None:
    simulation = campaign(100.0, tmobile=1.0)
    simulation.intent_s = lambda: 0.005
    for _ in range(500):
        simulation.arrive(0.0, job(carrier="tmobile", message_class=message_class, deadline=1))
    others = [job(carrier=carrier, message_class=message_class, deadline=2) for carrier in ("att", "verizon", None)]
    for each in others:
        simulation.arrive(1.5, each)
    simulation.run(3.0)
    assert all(start.at <= 1.6 for start in simulation.starts if start.job in others)
    assert {id(each) for each in others} <= {id(start.job) for start in simulation.starts}


def test_urgent_goes_first_at_a_backlogged_carrier_also_by_another_lane() -> None:
    simulation = campaign(100.0, "ab", tmobile=5.0)
    simulation.intent_s = lambda: 0.005
    for _ in range(200):
        simulation.arrive(0.0, job(lane="a", carrier="tmobile", message_class=BULK))
    urgent = {
        name: job(lane=name, carrier="tmobile", message_class=message_class)
        for name, message_class in (("a", CRITICAL), ("b", HIGH))
    }
    for each in urgent.values():
        simulation.arrive(2.03, each)
    simulation.run(10.0)
    at = {name: start.at for start in simulation.starts for name, each in urgent.items() if start.job is each}
    assert at["a"] - 2.03 <= 1 / 5.0 + 0.02
    assert at["b"] - 2.03 <= 2 / 5.0 + 0.05 + 0.02


def test_a_lower_class_keeps_its_share_of_a_backlogged_carrier() -> None:
    simulation = campaign(1000.0, "ab", tmobile=50.0)
    for _ in range(1500):
        simulation.arrive(0.0, job(lane="a", carrier="tmobile", message_class=HIGH))
        simulation.arrive(0.0, job(lane="b", carrier="tmobile", message_class=BULK))
    simulation.run(20.0)
    served = Counter(start.job.order.message_class for start in simulation.starts)
    assert served[BULK] >= 0.08 * len(simulation.starts)
    assert served[HIGH] >= 0.7 * len(simulation.starts)


@pytest.mark.parametrize(("slow", "granted"), [(1.0, 1.0), (1.0, 10.0), (10.0, 1.25), (100.0, 20.0)])
def test_a_lane_that_is_slow_itself_gets_its_turn_at_a_carrier_that_a_fast_one_uses_up(
    slow: float, granted: float
) -> None:
    """Its own slots are always asked for by what it has for others; and when they come, the fast lane has taken what
    the carrier grants."""
    made = table(
        [lane("slow", slow, group="g"), lane("fast", 500.0, group="g")], [Group("g", 0, carriers={"t": granted})]
    )
    simulation = Simulation(scheduler(made))
    simulation.intent_s = lambda: 0.005
    seconds = 60.0 if slow < 50.0 else 10.0
    for _ in range(int(seconds * slow * 2)):
        simulation.arrive(0.0, job(lane="slow", carrier="t"))
        simulation.arrive(0.0, job(lane="slow", carrier="att"))
    for _ in range(int(seconds * granted * 2)):
        simulation.arrive(0.0, job(lane="fast", carrier="t"))
    simulation.run(seconds)
    assert segments_per_s(simulation, seconds, carrier="t") >= 0.95 * granted - 0.1
    assert segments_per_s(simulation, seconds, lane="slow") >= 0.6 * slow
    fair = min(slow / 2, granted / 2)
    assert segments_per_s(simulation, seconds, lane="slow", carrier="t") >= 0.4 * fair


def test_apps_take_turns_whatever_carriers_their_messages_are_for() -> None:
    simulation = campaign(10.0, att=10.0, tmobile=10.0)
    for number in range(300):
        simulation.arrive(0.0, job(app="campaign", carrier=CARRIERS[number % 4]))
    few = [job(app="receipts", carrier="att") for _ in range(5)]
    for each in few:
        simulation.arrive(0.5, each)
    simulation.run(60.0)
    assert max(start.at for start in simulation.starts if start.job in few) <= 0.5 + 11 * 0.1


def test_a_carrier_that_nobody_limits_or_knows_is_not_split() -> None:
    simulation = campaign(10.0, tmobile=1.0)
    for _ in range(50):
        simulation.arrive(0.0, job(carrier="uscellular"))
        simulation.arrive(0.0, job(carrier=None))
    simulation.run(9.0)
    assert len(simulation.starts) >= 90
