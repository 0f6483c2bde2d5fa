"""Partitions that are not served before their consent was read."""

from __future__ import annotations

from streams.policy.doors import Doors


def test_what_comes_early_waits_and_is_given_out_in_its_order() -> None:
    doors: Doors[str] = Doors()
    doors.close({0: 10, 1: 0})
    assert not doors.may_enter(0, "a")
    assert not doors.may_enter(0, "b")
    assert doors.may_enter(2, "of a partition without a door")
    assert doors.closed == {0: 10, 1: 0}
    assert doors.open(0) == ["a", "b"]
    assert doors.may_enter(0, "c")
    assert doors.closed == {1: 0}


def test_a_rebalance_forgets_who_waited() -> None:
    doors: Doors[str] = Doors()
    doors.close({0: 10})
    doors.may_enter(0, "of the last generation")
    doors.close({0: 12})
    assert doors.open(0) == []


def test_health_tells_how_many_partitions_wait_and_how_long() -> None:
    now = [0.0]
    doors: Doors[str] = Doors(clock=lambda: now[0])
    assert doors.health().ok
    doors.close({0: 10, 1: 4})
    now[0] = 7.0
    assert not doors.health().ok
    assert "2 partitions for 7 s" in doors.health().detail
