from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.topics import DEFERRAL_TIERS_MS
from streams.policy.wheel import SHORTEST_MS, TIER_OF_TOPIC, Waiting, let_go_at, tier_for

NOW = 1_800_000_000_000


@pytest.mark.parametrize(
    ("remaining_ms", "tier"),
    [
        (-5_000, "1s"),
        (0, "1s"),
        (999, "1s"),
        (1_000, "1s"),
        (9_999, "1s"),
        (10_000, "10s"),
        (59_999, "10s"),
        (60_000, "1m"),
        (599_999, "1m"),
        (600_000, "10m"),
        (3_600_000, "1h"),
        (21_600_000, "6h"),
        (30 * 86_400_000, "6h"),
    ],
)
def test_the_longest_tier_that_does_not_overshoot_is_taken(remaining_ms: int, tier: str) -> None:
    assert tier_for(remaining_ms) == tier


@given(st.integers(min_value=0, max_value=90 * 86_400_000))
def test_hop_by_hop_a_message_is_never_early_and_at_most_a_second_late(wait_ms: int) -> None:
    waited = hops = 0
    while waited < wait_ms:
        waited += DEFERRAL_TIERS_MS[tier_for(wait_ms - waited)]
        hops += 1
        assert hops < 500
    assert wait_ms <= waited < wait_ms + SHORTEST_MS


def test_every_tier_has_its_topic() -> None:
    assert TIER_OF_TOPIC["comms.deferred.10m"] == 600_000
    assert len(TIER_OF_TOPIC) == len(DEFERRAL_TIERS_MS)


def test_what_waits_is_let_go_when_due_and_not_before() -> None:
    waiting: Waiting[str] = Waiting()
    waiting.add(200, "b")
    waiting.add(100, "a")
    waiting.add(200, "c")
    assert waiting.next_at() == 100
    assert list(waiting.due(99)) == []
    assert list(waiting.due(100)) == ["a"]
    assert list(waiting.due(250)) == ["b", "c"]
    assert waiting.next_at() is None


def test_what_went_to_another_worker_is_forgotten() -> None:
    waiting: Waiting[int] = Waiting()
    for number in range(10):
        waiting.add(number, number)
    waiting.drop(lambda number: number % 2 == 0)
    assert len(waiting) == 5
    assert list(waiting.due(100)) == [1, 3, 5, 7, 9]


@pytest.mark.parametrize(
    ("written_at", "expected"),
    [(NOW, NOW + 60_000), (NOW - 50_000, NOW + 10_000), (NOW - 90_000, NOW - 30_000), (NOW + 86_400_000, NOW + 60_000)],
)
def test_a_record_waits_its_tiers_time_and_no_longer_whatever_clock_wrote_it(written_at: int, expected: int) -> None:
    assert let_go_at(written_at, 60_000, NOW) == expected
