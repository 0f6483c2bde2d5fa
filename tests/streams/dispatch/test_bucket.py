"""The pace of one lane."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.dispatch.bucket import AHEAD_S, ALL_THE_ROOM, RESOLUTION_S, Bucket

from .simulation import worst_excess


def test_a_three_segment_text_occupies_a_one_per_second_sender_for_three_seconds() -> None:
    bucket = Bucket(rate=1.0)
    bucket.charge(3, now=100.0)
    assert bucket.due(3) == 103.0 - RESOLUTION_S
    bucket.charge(1, now=103.0)
    assert bucket.due(3) == 104.0 - RESOLUTION_S


def test_an_idle_lane_saves_nothing_up() -> None:
    bucket = Bucket(rate=1.0)
    bucket.charge(1, now=0.0)
    bucket.charge(1, now=1000.0)
    assert bucket.due(1) == 1001.0 - RESOLUTION_S


def test_a_critical_message_may_use_the_room_that_a_large_message_leaves() -> None:
    bucket = Bucket(rate=1.0)
    bucket.charge(3, now=0.0)
    assert bucket.due(1, ALL_THE_ROOM) == 1.0, "3 segments are the largest: 1 more may start 2 s early"
    assert bucket.due(1) == 3.0 - AHEAD_S
    assert bucket.due(3, ALL_THE_ROOM) == 3.0 - RESOLUTION_S
    assert bucket.due(10, ALL_THE_ROOM) == 3.0 - RESOLUTION_S, "the largest yet has no room at all"


def test_a_late_timer_costs_nothing_within_a_millisecond() -> None:
    bucket = Bucket(rate=100.0)
    now = 0.0
    for _ in range(1000):
        now = max(now, bucket.due(1)) + 0.0009
        bucket.charge(1, now)
    assert now < 10.0, "1,000 segments at 100/s take 10 s, however late each timer fired"


def test_what_is_owed_is_paid_off_at_the_rate_of_the_moment() -> None:
    bucket = Bucket(rate=0.01)
    bucket.charge(3, now=1000.0)
    bucket.change(1.0, now=1100.0)
    assert bucket.due(3) == 1102.0 - RESOLUTION_S, "two segments are left"
    bucket.change(0.5, now=1101.0)
    assert bucket.due(3) == 1103.0 - RESOLUTION_S
    bucket.change(2.0, now=2000.0)
    assert bucket.due(3) == 1103.0 - RESOLUTION_S, "an idle lane owes nothing"
    assert bucket.rate == 2.0


@given(
    messages=st.lists(
        st.tuples(st.integers(1, 24), st.floats(0.0, 30.0), st.floats(0.1, 500.0)), min_size=2, max_size=60
    )
)
def test_through_changes_of_rate_no_window_holds_more_than_its_rates_grant_and_one_largest_message(
    messages: list[tuple[int, float, float]],
) -> None:
    """`granted` counts segments where `worst_excess` asks for seconds at 1/s."""
    bucket, now, granted = Bucket(rate=1.0), 0.0, 0.0
    starts: list[tuple[float, int]] = []
    for segments, after_s, rate in messages:
        changed_at = now + after_s
        granted += after_s * bucket.rate
        bucket.change(rate, changed_at)
        now = max(changed_at, bucket.due(segments))
        granted += (now - changed_at) * rate
        bucket.charge(segments, now)
        starts.append((granted, segments))
    assert worst_excess(starts, 1.0) <= 500.0 * RESOLUTION_S + 1e-6


def test_a_successor_takes_over_the_debt_and_never_less() -> None:
    bucket = Bucket(rate=1.0)
    bucket.hand_over(paid_at=110.0, largest=10)
    assert bucket.due(10) == 110.0 - RESOLUTION_S
    bucket.hand_over(paid_at=50.0, largest=1)
    assert bucket.due(10) == 110.0 - RESOLUTION_S


@given(
    rate=st.floats(0.1, 500.0),
    messages=st.lists(
        st.tuples(
            st.integers(1, 24),
            st.floats(0.0, 5.0),
            st.booleans(),
            st.floats(0.0, 0.05),
        ),
        min_size=1,
        max_size=60,
    ),
)
def test_over_every_window_the_segments_started_stay_within_rate_and_one_largest_message(
    rate: float, messages: list[tuple[int, float, bool, float]]
) -> None:
    """Any sizes, pauses between arrivals, urgency and timer lateness."""
    bucket, now, starts = Bucket(rate), 0.0, []
    for segments, pause, urgent, late in messages:
        now = max(now + pause, bucket.due(segments, ALL_THE_ROOM if urgent else AHEAD_S)) + late
        bucket.charge(segments, now)
        starts.append((now, segments))
    assert worst_excess(starts, rate) <= rate * RESOLUTION_S + 1e-6
