"""The scheduler on a virtual clock: rate, order, fairness, nothing lost or doubled."""

from __future__ import annotations

import random
import tracemalloc
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.records import MessageClass
from streams.dispatch.bucket import RESOLUTION_S
from streams.dispatch.jobs import Job, JobState
from streams.dispatch.lanes import Group
from streams.dispatch.scheduler import Scheduler

from .simulation import Simulation, job, lane, order, scheduler, table, worst_excess

CRITICAL, HIGH, NORMAL, BULK = MessageClass


def _simulation(*lanes: Any, groups: Any = (), **settings: Any) -> Simulation:
    return Simulation(scheduler(table(lanes, groups), **settings))


def _at(simulation: Simulation, each: Job) -> float:
    return next(start.at for start in simulation.starts if start.job is each)


# -- pace


def test_a_lane_starts_one_segment_per_second_and_a_three_segment_text_takes_three() -> None:
    simulation = _simulation(lane("a", 1.0))
    for segments in (1, 3, 1, 1):
        simulation.arrive(0.0, job(segments=segments, deadline=1))
    simulation.run(60.0)
    assert [round(start.at) for start in simulation.starts] == [0, 1, 4, 5]


def test_a_new_owner_waits_for_the_last_owners_largest_message() -> None:
    simulation = _simulation(lane("a", 2.0))
    simulation.scheduler.lanes["a"].pace.bucket.hand_over(paid_at=5.0, largest=10)
    late = job()
    simulation.arrive(0.0, late)
    simulation.run(60.0)
    assert _at(simulation, late) == pytest.approx(5.0, abs=0.01)


def test_a_stall_between_intent_and_post_is_followed_by_no_burst() -> None:
    """The broker acknowledges nothing for 15 s: no token of that time may be spent at once afterwards."""
    simulation = _simulation(lane("a", 10.0))
    simulation.intent_s = lambda: 15.0 if simulation.now < 15.0 else 0.001
    for _ in range(400):
        simulation.arrive(0.0, job())
    simulation.run(30.0)
    assert simulation.starts[0].at >= 15.0
    assert worst_excess([(start.at, 1) for start in simulation.starts], 10.0) <= 10.0 * RESOLUTION_S + 1e-6


def test_what_a_message_takes_from_its_choice_to_its_first_byte_costs_a_backlogged_lane_no_pace() -> None:
    simulation = _simulation(lane("a", 1000.0))
    simulation.connect_s = lambda: 0.0003
    for _ in range(2000):
        simulation.arrive(0.0, job())
    simulation.run(60.0)
    took = simulation.starts[-1].at - simulation.starts[0].at
    assert 1999 / took >= 0.98 * 1000.0


def test_starts_that_had_to_wait_for_connections_do_not_leave_together() -> None:
    simulation = _simulation(lane("a", 10.0))
    simulation.connect_s = lambda: max(0.0, 1.0 - simulation.now)
    for _ in range(20):
        simulation.arrive(0.0, job())
    simulation.run(60.0)
    assert simulation.starts[0].at >= 1.0
    assert len(simulation.starts) == 20
    assert worst_excess([(start.at, 1) for start in simulation.starts], 10.0) <= 10.0 * RESOLUTION_S + 1e-6


def test_a_start_that_alone_had_to_wait_moves_its_place_and_costs_no_pace() -> None:
    simulation = _simulation(lane("a", 0.1))
    simulation.connect_s = lambda: 0.1
    for _ in range(3):
        simulation.arrive(0.0, job())
    simulation.run(60.0)
    assert [start.at for start in simulation.starts] == pytest.approx([0.1, 10.2, 20.3], abs=0.01)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    rate=st.sampled_from([0.1, 1.0, 3.0, 10.0, 80.0, 100.0, 500.0]),
    group_factor=st.sampled_from([None, 0.5, 1.0, 1.5]),
    late=st.floats(0.0, 0.02),
    intent=st.floats(0.0, 0.05),
    connect=st.sampled_from([0.0, 0.003, 0.1, 1.0]),
)
def test_no_window_ever_holds_more_than_the_rate_and_one_largest_message(
    seed: int, rate: float, group_factor: float | None, late: float, intent: float, connect: float
) -> None:
    """Two lanes that may share a group, all classes, mixed sizes, any lateness of timers, INTENTs, connections and
    answers."""
    rnd = random.Random(seed)
    group_rate = None if group_factor is None else rate * group_factor
    simulation = _simulation(
        lane("a", rate, group="g"), lane("b", rate, group="g"), groups=[Group("g", 0, group_rate)], max_in_flight=8
    )
    simulation.lateness = lambda: rnd.random() * late
    simulation.intent_s = lambda: rnd.random() * intent
    simulation.connect_s = lambda: rnd.random() * connect if rnd.random() < 0.5 else 0.0
    simulation.post_s = lambda: rnd.random() * 0.1
    jobs = []
    for _ in range(150):
        each = job(
            lane=rnd.choice("ab"),
            segments=rnd.choice([1, 1, 1, 2, 3, 10]),
            message_class=rnd.choice(list(MessageClass)),
            app=rnd.choice(["x", "y"]),
        )
        jobs.append(each)
        simulation.arrive(rnd.random() * 20.0 / rate, each)
    simulation.run(100_000.0)

    assert Counter(id(start.job) for start in simulation.starts) == Counter(id(each) for each in jobs)
    for name in "ab":
        starts = [(start.at, start.job.segments) for start in simulation.starts if start.job.order.lane == name]
        assert worst_excess(starts, rate) <= rate * RESOLUTION_S + 1e-6
    if group_rate is not None:
        starts = [(start.at, start.job.segments) for start in simulation.starts]
        assert worst_excess(starts, group_rate) <= group_rate * RESOLUTION_S + 1e-6


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), rate=st.sampled_from([0.1, 1.0, 10.0, 100.0, 500.0]))
def test_a_backlogged_lane_uses_its_rate(seed: int, rate: float) -> None:
    rnd = random.Random(seed)
    simulation = _simulation(lane("a", rate))
    simulation.lateness = lambda: rnd.random() * RESOLUTION_S * 0.9
    simulation.intent_s = lambda: 0.001 + rnd.random() * 0.02
    simulation.post_s = lambda: 0.05
    for _ in range(600):
        simulation.arrive(0.0, job(segments=rnd.choice([1, 2, 3]), message_class=rnd.choice(list(MessageClass))))
    simulation.run(10**6)
    first, last = simulation.starts[0], simulation.starts[-1]
    segments = sum(start.job.segments for start in simulation.starts) - last.job.segments
    # The first INTENT is not ahead of anything: its latency is no loss of pace.
    assert segments / (last.at - first.at) >= 0.98 * rate


# -- order


def test_critical_goes_first_then_high_normal_bulk() -> None:
    simulation = _simulation(lane("a", 1.0))
    for message_class in reversed(MessageClass):
        simulation.arrive(0.0, job(message_class=message_class))
    simulation.run(60.0)
    assert [start.job.order.message_class for start in simulation.starts] == list(MessageClass)


def test_critical_waits_for_at_most_one_message_in_service() -> None:
    simulation = _simulation(lane("a", 10.0))
    simulation.intent_s = lambda: 0.005
    for _ in range(200):
        simulation.arrive(0.0, job(message_class=BULK))
    urgent = [job(message_class=CRITICAL) for _ in range(20)]
    for number, each in enumerate(urgent):
        simulation.arrive(1.0 + number * 0.37, each)
    simulation.run(60.0)
    waits = [_at(simulation, each) - (1.0 + number * 0.37) for number, each in enumerate(urgent)]
    assert max(waits) <= 0.1 + 0.005 + 1e-6


def test_critical_need_not_wait_for_a_large_bulk_text_to_be_paid() -> None:
    """After a 10-segment bulk text on a 1/s sender the promise leaves room for nine segments: no wait of 10 s."""
    simulation = _simulation(lane("a", 1.0))
    simulation.arrive(0.0, job(segments=10, message_class=BULK))
    simulation.arrive(0.0, job(segments=10, message_class=BULK))
    urgent = job(message_class=CRITICAL)
    simulation.arrive(2.0, urgent)
    simulation.run(60.0)
    assert _at(simulation, urgent) == pytest.approx(2.0, abs=0.01)


def test_bulk_keeps_its_share_when_critical_alone_asks_for_everything() -> None:
    simulation = _simulation(lane("a", 100.0))
    simulation.intent_s = lambda: 0.003
    for _ in range(3000):
        simulation.arrive(0.0, job(message_class=CRITICAL))
        simulation.arrive(0.0, job(message_class=BULK))
    simulation.run(20.0)
    served = Counter(start.job.order.message_class for start in simulation.starts)
    assert served[BULK] >= 0.099 * len(simulation.starts)
    assert served[CRITICAL] >= 0.88 * len(simulation.starts)


def test_a_share_is_kept_also_where_a_group_budget_is_what_is_scarce() -> None:
    simulation = _simulation(
        lane("a", 100.0, group="g"), lane("b", 100.0, group="g"), groups=[Group("g", 0, rate=50.0)]
    )
    for _ in range(2000):
        simulation.arrive(0.0, job(lane="a", message_class=HIGH))
        simulation.arrive(0.0, job(lane="b", message_class=BULK))
    simulation.run(20.0)
    served = Counter(start.job.order.message_class for start in simulation.starts)
    assert served[BULK] >= 0.08 * len(simulation.starts)
    assert served[HIGH] >= 0.7 * len(simulation.starts)


def test_inside_an_app_the_earliest_deadline_goes_first() -> None:
    simulation = _simulation(lane("a", 1.0))
    late, soon = job(deadline=2), job(deadline=1)
    simulation.arrive(0.0, job(deadline=0))
    simulation.arrive(0.0, late)
    simulation.arrive(0.0, soon)
    simulation.run(60.0)
    assert _at(simulation, soon) < _at(simulation, late)


def test_apps_take_turns_inside_a_class() -> None:
    simulation = _simulation(lane("a", 10.0))
    for _ in range(100):
        simulation.arrive(0.0, job(app="campaign"))
    few = [job(app="receipts") for _ in range(5)]
    for each in few:
        simulation.arrive(0.5, each)
    simulation.run(60.0)
    assert max(_at(simulation, each) for each in few) <= 0.5 + 11 * 0.1


# -- slots


def test_no_more_posts_are_in_flight_than_the_account_has_slots() -> None:
    simulation = _simulation(lane("a", 1e9), max_in_flight=10)
    simulation.post_s = lambda: 1.0
    for _ in range(100):
        simulation.arrive(0.0, job())
    simulation.run(0.5)
    assert len(simulation.starts) == 9, "one of ten is kept for critical"
    simulation.arrive(0.6, job(message_class=CRITICAL))
    simulation.run(0.7)
    assert len(simulation.starts) == 10


def test_lanes_of_one_account_share_its_slots_in_turn() -> None:
    simulation = _simulation(lane("a", 1e9), lane("b", 1e9), max_in_flight=8)
    simulation.post_s = lambda: 0.1
    for _ in range(400):
        simulation.arrive(0.0, job(lane="a"))
        simulation.arrive(0.0, job(lane="b"))
    simulation.run(2.0)
    served = Counter(start.job.order.lane for start in simulation.starts)
    assert abs(served["a"] - served["b"]) <= 0.1 * len(simulation.starts)


def test_an_account_that_hangs_takes_no_slot_of_another() -> None:
    simulation = _simulation(lane("a", 100.0, account="hangs"), lane("b", 100.0, account="well"), max_in_flight=4)
    for _ in range(200):
        simulation.arrive(0.0, job(lane="a"))
        simulation.arrive(0.0, job(lane="b"))
    simulation.post_s = lambda: 1e6 if simulation.starts[-1].job.order.lane == "a" else 0.01
    simulation.run(3.0)
    served = Counter(start.job.order.lane for start in simulation.starts)
    assert served["a"] == 3
    assert served["b"] == 200


def test_a_slot_given_back_starts_the_next() -> None:
    plain = scheduler(table([lane("a", 1e9)]), max_in_flight=2)
    for _ in range(3):
        plain.push(job())
    for each in plain.plan(0.0):
        plain.prepared(each)
    plain.plan(0.0)
    first = plain.pop(0.0)
    assert first is not None
    assert plain.pop(0.0) is None
    plain.ended(first, 0.1)
    assert plain.pop(0.1) is not None


# -- pauses


def _started(simulation: Simulation, until: float) -> int:
    simulation.run(until)
    return len(simulation.starts)


def test_a_paused_lane_sends_nothing_and_a_neighbour_is_not_touched() -> None:
    simulation = _simulation(lane("a", 10.0), lane("b", 10.0))
    for _ in range(100):
        simulation.arrive(0.0, job(lane="a"))
        simulation.arrive(0.0, job(lane="b"))
    simulation.run(1.0)
    wait = simulation.scheduler.pauses.trip_lane("a", 1.0, "21611")
    before = Counter(start.job.order.lane for start in simulation.starts)
    simulation.run(4.0)
    after = Counter(start.job.order.lane for start in simulation.starts)
    assert after["a"] == before["a"]
    assert after["b"] >= before["b"] + 29
    simulation.run(1.0 + wait + 0.05)
    assert Counter(start.job.order.lane for start in simulation.starts)["a"] == before["a"] + 1, "one probe"


def test_a_lane_is_probed_by_one_message_and_flows_again_after_a_success() -> None:
    simulation = _simulation(lane("a", 100.0))
    simulation.post_s = lambda: 1.0
    for _ in range(500):
        simulation.arrive(0.0, job())
    plain = simulation.scheduler
    plain.pauses.trip_lane("a", 0.0, "21611", at_least_s=10.0)
    assert _started(simulation, 10.9) == 1
    probe = simulation.starts[0].job
    simulation.run(11.0)
    plain.pauses.worked(probe, 11.1)
    plain.stir()
    simulation.now = 11.1
    simulation.pump()
    assert _started(simulation, 13.0) >= 95


def test_what_is_prepared_on_a_lane_that_is_held_gives_its_places_back_to_the_account() -> None:
    plain = scheduler(table([lane("a", 1000.0), lane("b", 1000.0)]), max_in_flight=4)
    held = [job(lane="a") for _ in range(50)]
    for each in held:
        plain.push(each)
    prepared = plain.plan(0.0)
    assert prepared
    for each in prepared:
        plain.prepared(each)
    assert plain.accounts["main"].planned == len(prepared)
    plain.pauses.trip_lane("a", 0.0, "21611", at_least_s=10.0)
    plain.plan(0.0)
    assert plain.accounts["main"].planned == plain.lanes["a"].planned == 0
    assert plain.refused == prepared
    assert {each.state for each in prepared} == {JobState.OUT}
    for _ in range(50):
        plain.push(job(lane="b"))
    assert len(plain.plan(0.0)) == len(prepared)


@pytest.mark.parametrize("how", ["paused", "tripped", "held", "tripped while preparing", "for a moment"])
def test_what_is_prepared_on_an_account_that_is_held_for_long_waits_in_its_lane_again(how: str) -> None:
    """Its INTENT gets too old, and as long as it is prepared nobody can give it back: it would pin its partition, and
    with it the lanes of other accounts, until the account goes on."""
    plain = scheduler(table([lane("a", 1e9)]))
    plain.push(job())
    [planned] = plain.plan(0.0)
    if how != "tripped while preparing":
        plain.prepared(planned)
        plain.plan(0.0)
    match how:
        case "paused":
            plain.accounts["main"].breaker.paused = True
            plain.stir()
        case "held":
            plain.pauses.hold_account("main", 30.0, 30.0, "20003")
        case "for a moment":
            plain.pauses.trip_account("main", 0.0, "20003", at_least_s=0.5)
        case _:
            plain.pauses.trip_account("main", 0.0, "20003", at_least_s=30.0)
    if how == "tripped while preparing":
        plain.prepared(planned)
    plain.plan(0.0)
    assert plain.refused == ([] if how == "for a moment" else [planned])
    assert plain.pop(0.0) is None
    if plain.refused:
        assert plain.accounts["main"].planned == 0
        plain.push(planned)
        assert plain.plan(0.0) == []
        assert plain.withdraw(planned)


def test_an_account_that_met_trouble_while_an_operator_held_it_is_probed_in_time_when_it_goes_on() -> None:
    plain = scheduler(table([lane("a", 1e9)]))
    account = plain.accounts["main"]
    account.breaker.paused = True
    plain.push(job())
    plain.pauses.trip_account("main", 0.0, "20003", at_least_s=30.0)
    assert plain.plan(0.0) == []
    account.breaker.paused = False
    plain.stir()
    assert plain.plan(1.0) == []
    assert plain.next_at() == 30.0
    assert len(plain.plan(30.0)) == 1


def test_a_paused_account_stops_all_its_lanes_and_no_other() -> None:
    simulation = _simulation(lane("a", 10.0), lane("b", 10.0), lane("c", 10.0, account="other"))
    for name in "abc":
        for _ in range(50):
            simulation.arrive(0.5, job(lane=name))
    simulation.scheduler.pauses.trip_account("main", 0.0, "20003", at_least_s=100.0)
    simulation.run(10.0)
    assert Counter(start.job.order.lane for start in simulation.starts) == {"c": 50}
    simulation.run(101.0)
    assert Counter(start.job.order.lane for start in simulation.starts)["c"] == 50
    assert len(simulation.starts) > 50


def test_a_trip_with_messages_already_prepared_holds_them_too() -> None:
    plain = scheduler(table([lane("a", 1e9)]))
    plain.push(job())
    [planned] = plain.plan(0.0)
    plain.prepared(planned)
    plain.pauses.trip_lane("a", 0.0, "21611", at_least_s=5.0)
    plain.plan(0.0)
    assert plain.refused == [planned]
    plain.push(planned)
    plain.plan(0.0)
    assert plain.pop(0.0) is None
    assert plain.next_at() == pytest.approx(5.0, rel=0.2)


# -- leaving otherwise


def test_an_expired_message_leaves_without_a_token_also_from_a_paused_lane() -> None:
    plain = scheduler(table([lane("a", 1.0)]))
    overdue, retry, fine = job(deadline=1_000), job(deadline=1_000), job(deadline=9_000)
    plain.pauses.trip_lane("a", 0.0, "21611", at_least_s=1000.0)
    plain.push(overdue)
    plain.delay(retry, 500.0)
    plain.push(fine)
    assert plain.plan(0.0) == []
    assert plain.expire(999) == []
    assert set(plain.expire(1_001)) == {overdue, retry}
    assert plain.held == 1
    assert plain.expire(9_001) == [fine]
    assert plain.held == 0


def test_a_prepared_message_expires_too_and_one_in_preparation_is_told_when_ready() -> None:
    plain = scheduler(table([lane("a", 1e9)]))
    ready, preparing = job(deadline=1_000), job(deadline=1_000)
    plain.push(ready)
    plain.push(preparing)
    assert set(plain.plan(0.0)) == {ready, preparing}
    assert plain.prepared(ready)
    assert plain.expire(1_001) == [ready]
    assert not plain.prepared(preparing)
    plain.plan(0.0)
    assert plain.pop(0.0) is None
    assert plain.accounts["main"].planned == 0


def test_a_message_that_the_last_look_refuses_costs_no_token() -> None:
    plain = scheduler(table([lane("a", 1.0)]))
    stopped, fine = job(deadline=1), job(deadline=2)
    plain.look = lambda each: each is not stopped
    plain.push(stopped)
    plain.push(fine)
    started = None
    for _ in range(6):
        for each in plain.plan(0.0):
            plain.prepared(each)
        started = started or plain.pop(0.0)
    assert plain.refused == [stopped]
    assert started is fine
    assert stopped.state is JobState.OUT


def test_a_retry_is_not_started_early() -> None:
    simulation = _simulation(lane("a", 100.0))
    again = job()
    simulation.scheduler.delay(again, 3.0)
    simulation.run(60.0)
    assert _at(simulation, again) == pytest.approx(3.0, abs=0.01)


def test_after_a_clear_no_pause_is_left_that_nobody_would_end() -> None:
    plain = scheduler(table([lane("a", 1.0)]))
    plain.pauses.trip_lane("a", 0.0, "21611")
    plain.pauses.trip_account("main", 0.0, "away")
    plain.clear()
    assert plain.lanes["a"].breaker.closed
    assert plain.accounts["main"].breaker.closed


def test_after_a_clear_nothing_of_before_starts_and_the_debt_stays() -> None:
    simulation = _simulation(lane("a", 1.0))
    simulation.intent_s = lambda: 0.5 if simulation.now < 0.6 else 0.0
    for _ in range(5):
        simulation.arrive(0.0, job(segments=4))
    simulation.run(0.6)
    assert len(simulation.starts) == 1
    simulation.scheduler.clear()
    assert simulation.scheduler.held == 0
    fresh = job()
    simulation.arrive(0.7, fresh)
    simulation.run(60.0)
    assert [start.job for start in simulation.starts[1:]] == [fresh]
    assert _at(simulation, fresh) == pytest.approx(4.5, abs=0.01)


# -- everything together


class _Chaos:
    """Random operations on one scheduler; afterwards every job is accounted for exactly once."""

    def __init__(self, seed: int) -> None:
        self.rnd = random.Random(seed)
        lanes = [lane(name, self.rnd.choice([1.0, 50.0, 1e6]), account=self.rnd.choice("pq")) for name in "abcd"]
        groups = [Group("a", 0, carriers={"att": 2.0, "tmobile": 0.5}), Group("b", 1, 9.0, carriers={"att": 40.0})]
        self.plain: Scheduler = scheduler(table(lanes, groups), seed=seed, max_in_flight=self.rnd.choice([2, 5, 50]))
        self.plain.look = lambda _: self.rnd.random() > 0.05
        self.now = 0.0
        self.ended: Counter[int] = Counter()
        self.flying: list[Job] = []
        self.preparing: list[Job] = []
        self.born: list[Job] = []

    def step(self) -> None:
        rnd, plain = self.rnd, self.plain
        self.now += rnd.random() * 0.2
        for _ in range(rnd.randrange(4)):
            each = Job(
                order(
                    lane=rnd.choice("abcd"),
                    app=rnd.choice("xyz"),
                    segments=rnd.choice([1, 2, 7]),
                    message_class=rnd.choice(list(MessageClass)),
                    deadline=int(self.now * 1000) + rnd.choice([100, 5_000, 10**9]),
                    carrier=rnd.choice(["att", "tmobile", None]),
                )
            )
            self.born.append(each)
            plain.push(each)
        match rnd.randrange(12):
            case 0:
                plain.pauses.trip_lane(rnd.choice("abcd"), self.now, "trouble")
            case 1:
                plain.pauses.trip_account(rnd.choice(list(plain.accounts)), self.now, "trouble")
            case _:
                pass
        self.preparing += plain.plan(self.now)
        rnd.shuffle(self.preparing)
        for each in [self.preparing.pop() for _ in range(rnd.randrange(len(self.preparing) + 1))]:
            if not plain.prepared(each):
                self.ended[id(each)] += 1
        for each in plain.expire(int(self.now * 1000)):
            self.ended[id(each)] += 1
        self.preparing += plain.plan(self.now)
        while (started := plain.pop(self.now)) is not None:
            assert started.state is JobState.SENDING
            self.flying.append(started)
        for refused in plain.refused:
            self.ended[id(refused)] += 1
        plain.refused.clear()
        for each in [self.flying.pop() for _ in range(rnd.randrange(len(self.flying) + 1))]:
            plain.ended(each, self.now, throttled=rnd.random() < 0.1)
            plain.pauses.worked(each, self.now)
            if rnd.random() < 0.2:
                plain.delay(each, self.now + rnd.random())
            else:
                self.ended[id(each)] += 1


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**9))
def test_whatever_happens_every_message_leaves_exactly_once(seed: int) -> None:
    chaos = _Chaos(seed)
    for _ in range(120):
        chaos.step()
    plain = chaos.plain
    plain.look = lambda _: True
    for _ in range(20_000):
        for each in chaos.flying:
            plain.ended(each, chaos.now)
            plain.pauses.worked(each, chaos.now)
            chaos.ended[id(each)] += 1
        chaos.flying.clear()
        chaos.preparing += plain.plan(chaos.now)
        for each in chaos.preparing:
            if not plain.prepared(each):
                chaos.ended[id(each)] += 1
        chaos.preparing.clear()
        chaos.preparing += plain.plan(chaos.now)
        while (started := plain.pop(chaos.now)) is not None:
            chaos.flying.append(started)
        for each in plain.refused:  # prepared on a lane that was held meanwhile
            plain.push(each)
        plain.refused.clear()
        if not chaos.flying and not chaos.preparing and not plain.stirred:
            if plain.next_at() == float("inf"):
                break
            chaos.now = max(chaos.now, plain.next_at())
    assert plain.held == 0
    assert chaos.ended == Counter(id(each) for each in chaos.born)
    for each_lane in plain.lanes.values():
        assert (each_lane.planned, each_lane.in_flight, each_lane.pace.ahead) == (0, 0, [0, 0, 0, 0])
    for budget in plain.carriers.values():
        assert budget.pace.ahead == [0, 0, 0, 0]
    for account in plain.accounts.values():
        assert (account.planned, account.concurrency.in_flight) == (0, 0)


def test_memory_stays_flat_while_messages_pass_through() -> None:
    plain = scheduler(table([lane("a", 1e9)]))

    def pass_through(count: int) -> None:
        for _ in range(count):
            plain.push(job())
            for each in plain.plan(0.0):
                plain.prepared(each)
            plain.plan(0.0)
            while (started := plain.pop(0.0)) is not None:
                plain.ended(started, 0.0)

    pass_through(3_000)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        pass_through(10_000)
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 2_000_000, f"{grown} bytes for 10,000 messages that have left"
