"""Order of classes and guaranteed shares."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.dispatch.shares import CRITICAL, ClassShares


def _serve(shares: ClassShares, heads: list[int], times: int, aged: tuple[bool, ...] = ()) -> list[int]:
    served = [0, 0, 0, 0]
    for _ in range(times):
        rank = shares.choose(heads)
        assert rank is not None
        shares.served(rank, heads[rank], heads, aged)
        served[rank] += heads[rank]
    return served


def test_classes_come_in_strict_order() -> None:
    assert ClassShares().choose([1, 1, 1, 1]) == 0
    assert ClassShares().choose([0, 1, 1, 1]) == 1
    assert ClassShares().choose([0, 0, 0, 1]) == 3
    assert ClassShares().choose([0, 0, 0, 0]) is None


def test_every_backlogged_lower_class_keeps_a_tenth_when_critical_alone_asks_for_everything() -> None:
    assert _serve(ClassShares(), [1, 1, 1, 1], 1003) == [703, 100, 100, 100]


def test_a_class_that_was_served_well_has_no_claim_against_a_later_critical_message() -> None:
    shares = ClassShares()
    _serve(shares, [0, 0, 0, 1], 1000)
    assert shares.choose([1, 0, 0, 1]) == CRITICAL


def test_what_is_owed_is_one_message_and_at_most_one_more_earned_while_it_waits() -> None:
    shares = ClassShares()
    for _ in range(1000):
        shares.served(CRITICAL, 1, [1, 0, 0, 3])
    assert shares.owed[3] == 6.0


def test_a_class_without_backlog_earns_nothing() -> None:
    shares = ClassShares()
    for _ in range(1000):
        shares.served(CRITICAL, 1, [1, 0, 0, 0])
    assert shares.choose([1, 0, 0, 1]) == CRITICAL


def test_a_class_that_starves_earns_twice_as_fast_but_not_from_critical() -> None:
    starved = (False, False, False, True)
    assert _serve(ClassShares(), [0, 1, 0, 1], 1000, starved)[3] > 180
    assert _serve(ClassShares(), [1, 0, 0, 1], 1000, starved)[3] <= 101


@given(heads=st.lists(st.integers(1, 24), min_size=4, max_size=4))
def test_the_share_holds_for_any_message_sizes(heads: list[int]) -> None:
    served = _serve(ClassShares(), heads, 2000)
    total = sum(served)
    for rank in (1, 2, 3):
        assert served[rank] >= 0.1 * total - 2 * max(heads)
