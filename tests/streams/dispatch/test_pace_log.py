"""What a new owner reads of its predecessor's pace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.dispatch.bucket import AHEAD_S, RESOLUTION_S, Bucket
from streams.dispatch.lanes import Budget, Group
from streams.dispatch.pace_log import PaceLog, Rates, look_back_s

from .simulation import lane, scheduler, table, worst_excess
from .test_attempts import intent, result

NOW_MS = 1_000_000


def test_right_after_a_ten_segment_text_a_new_owner_waits_for_it() -> None:
    lanes = table([lane("a", 1.0)])
    plan = scheduler(lanes)
    log = PaceLog(lanes, Rates.in_force(plan))
    log.add(intent(at=NOW_MS - 2_000, segments=10))
    log.hand_over(plan, now=50.0, now_ms=NOW_MS)
    bucket = plan.lanes["a"].pace.bucket
    assert bucket.paid_at == pytest.approx(50.0 + 8.0 + 1.0), "and a second for the INTENT that is written ahead"
    assert bucket.largest == 10


def test_a_lane_that_was_quiet_owes_nothing() -> None:
    lanes = table([lane("a", 1.0)])
    plan = scheduler(lanes)
    log = PaceLog(lanes, Rates.in_force(plan))
    log.add(intent(at=NOW_MS - 60_000))
    log.hand_over(plan, now=50.0, now_ms=NOW_MS)
    assert plan.lanes["a"].pace.bucket.paid_at < 50.0


def test_a_predecessor_whose_clock_is_hours_ahead_holds_a_lane_for_one_message_only() -> None:
    lanes = table([lane("a", 1.0)])
    plan = scheduler(lanes)
    log = PaceLog(lanes, Rates.in_force(plan))
    log.add(intent(at=NOW_MS + 7_200_000, segments=3))
    log.hand_over(plan, now=50.0, now_ms=NOW_MS)
    assert plan.lanes["a"].pace.bucket.paid_at == pytest.approx(54.0)


def test_a_groups_budget_is_handed_over_too_and_results_and_unknown_lanes_cost_nothing() -> None:
    lanes = table([lane("a", 100.0, group="g"), lane("b", 100.0, group="g")], [Group("g", 0, 1.0)])
    plan = scheduler(lanes)
    log = PaceLog(lanes, Rates.in_force(plan))
    records = intent(at=NOW_MS - 2_000, lane="a"), intent(2, at=NOW_MS - 1_900, lane="b", segments=3)
    for record in (*records, result(), intent(3, at=NOW_MS, lane="gone")):
        log.add(record)
    log.hand_over(plan, now=50.0, now_ms=NOW_MS)
    assert plan.groups["g"].pace.bucket.paid_at == pytest.approx(50.0 - 2.0 + 4.0 + 1.0)


def test_what_a_carrier_grants_is_handed_over_too_and_the_log_is_read_back_for_it() -> None:
    lanes = table([lane("a", 100.0, group="g")], [Group("g", 0, carriers={"att": 2.0, "tmobile": 0.2})])
    plan = scheduler(lanes)
    rates = Rates.in_force(plan)
    assert look_back_s(lanes, rates, 0) == pytest.approx(24 / 0.2 + 1)
    log = PaceLog(lanes, rates)
    for number, carrier in enumerate(("tmobile", "tmobile", "att", "verizon", None), start=1):
        log.add(intent(number, at=NOW_MS - 2_000, segments=2, carrier=carrier))
    log.hand_over(plan, now=50.0, now_ms=NOW_MS)
    assert plan.carriers["g", "tmobile"].pace.bucket.paid_at == pytest.approx(50.0 - 2.0 + 20.0 + 1.0, abs=9.1)
    assert plan.carriers["g", "tmobile"].pace.bucket.paid_at > 50.0 + 9.0
    assert plan.carriers["g", "att"].pace.bucket.paid_at == pytest.approx(50.0 - 2.0 + 1.0 + 1.0)


def test_a_budget_of_several_groups_is_handed_over_and_the_log_is_read_back_for_it() -> None:
    lanes = table(
        [lane("a", 100.0, group="g"), lane("b", 100.0, group="h")],
        [Group("g", 0, 50.0, budget="acme"), Group("h", 0, budget="acme")],
        budgets=[Budget("acme", 0.25)],
    )
    plan = scheduler(lanes)
    log = PaceLog(lanes, Rates.in_force(plan))
    log.add(intent(at=NOW_MS - 5_000, lane="a"))
    log.add(intent(2, at=NOW_MS - 1_900, lane="b", segments=3))
    log.hand_over(plan, now=50.0, now_ms=NOW_MS)
    assert plan.budgets["acme"].pace.bucket.paid_at == pytest.approx(50.0 - 5.0 + 16.0 + 1.0)
    assert look_back_s(lanes, Rates.in_force(plan), 0) == pytest.approx(24 / 0.25 + 1.0)
    without = table([lane("a", 0.25, group="g")], [Group("g", 0, budget="acme")], budgets=[Budget("acme")])
    plan = scheduler(without)
    log = PaceLog(without, Rates.in_force(plan))
    log.add(intent(at=NOW_MS, lane="a"))
    log.hand_over(plan, now=50.0, now_ms=NOW_MS)
    assert look_back_s(without, Rates.in_force(plan), 0) == pytest.approx(24 / 0.25 + 1.0)


def test_the_log_is_read_back_as_far_as_the_largest_message_of_the_slowest_lane_lasts() -> None:
    lanes = table([lane("fast", 100.0), lane("slow", 0.1)])
    plan = scheduler(lanes)
    rates = Rates.in_force(plan)
    assert look_back_s(lanes, rates, lanes.partition_of("fast")) == 60.0
    assert look_back_s(lanes, rates, lanes.partition_of("slow")) == pytest.approx(241.0)
    assert look_back_s(lanes, rates, 9) == 60.0, "a partition without lanes"
    plan.lanes["fast"].pace.bucket.rate = 0.01
    assert look_back_s(lanes, Rates.in_force(plan), lanes.partition_of("fast")) == pytest.approx(2_401.0)
    plan.lanes["fast"].pace.bucket.rate = 0.2
    assert look_back_s(lanes, Rates.in_force(plan), lanes.partition_of("fast")) == pytest.approx(121.0)


def test_a_rate_that_an_operator_has_lowered_holds_for_what_a_predecessor_started() -> None:
    lanes = table([lane("a", 10.0), lane("b", 10.0, group="g")], [Group("g", 0, 10.0)])
    plan = scheduler(lanes)
    plan.lanes["a"].pace.bucket.rate = 0.5
    plan.groups["g"].pace.bucket.rate = 0.25
    log = PaceLog(lanes, Rates.in_force(plan))
    log.add(intent(at=NOW_MS - 2_000, lane="a", segments=10))
    log.add(intent(2, at=NOW_MS - 2_000, lane="b", segments=10))
    log.hand_over(plan, now=50.0, now_ms=NOW_MS)
    assert plan.lanes["a"].pace.bucket.paid_at == pytest.approx(50.0 - 2.0 + 20.0 + 1.0)
    assert plan.groups["g"].pace.bucket.paid_at == pytest.approx(50.0 - 2.0 + 40.0 + 1.0)


@pytest.mark.parametrize(("rate", "owes_s"), [(0.5, 20.0), (100.0, 0.1)])
def test_a_rate_that_an_operator_changes_while_the_log_is_read_holds_for_what_is_owed(
    rate: float, owes_s: float
) -> None:
    lanes = table([lane("a", 10.0)])
    plan = scheduler(lanes)
    log = PaceLog(lanes, Rates.in_force(plan))
    log.add(intent(at=NOW_MS, segments=10))
    plan.lanes["a"].pace.bucket.change(rate, 50.0)
    log.hand_over(plan, now=50.0, now_ms=NOW_MS)
    assert plan.lanes["a"].pace.bucket.paid_at == pytest.approx(50.0 + owes_s + 1.0)


@given(
    rate=st.floats(0.2, 100.0),
    before=st.lists(st.tuples(st.integers(1, 10), st.floats(0.0, 0.9)), min_size=1, max_size=20),
    after=st.lists(st.integers(1, 10), min_size=1, max_size=20),
    down_s=st.floats(0.0, 3.0),
)
def test_the_rate_holds_across_a_change_of_owner(
    rate: float, before: list[tuple[int, float]], after: list[int], down_s: float
) -> None:
    """INTENTs lie up to 0.9 s before their POSTs; the old owner dies right after one."""
    lanes = table([lane("a", rate)])
    plan = scheduler(lanes)
    old, log, now, starts = Bucket(rate), PaceLog(lanes, Rates.in_force(plan)), 0.0, []
    for segments, lead in before:
        now = max(now, old.due(segments, AHEAD_S))
        log.add(intent(at=NOW_MS + int((now - lead) * 1000), segments=segments))
        old.charge(segments, now)
        starts.append((now, segments))
    now += down_s
    log.hand_over(plan, now=now, now_ms=NOW_MS + int(now * 1000))
    new = plan.lanes["a"].pace.bucket
    for segments in after:
        now = max(now, new.due(segments, AHEAD_S))
        new.charge(segments, now)
        starts.append((now, segments))
    # Wall times in the log are whole milliseconds.
    assert worst_excess(starts, rate) <= rate * (RESOLUTION_S + 0.002) + 1e-6
