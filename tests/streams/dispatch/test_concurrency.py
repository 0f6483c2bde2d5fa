"""Slots of an account."""

from __future__ import annotations

from streams.dispatch.concurrency import Concurrency


def _fill(concurrency: Concurrency, *, critical: bool = False) -> int:
    started = 0
    while concurrency.room(critical):
        concurrency.started()
        started += 1
    return started


def test_a_tenth_of_the_slots_is_kept_for_critical() -> None:
    concurrency = Concurrency(50)
    assert _fill(concurrency) == 45
    assert _fill(concurrency, critical=True) == 5


def test_at_least_one_slot_is_kept_and_at_least_one_is_common() -> None:
    concurrency = Concurrency(2)
    assert _fill(concurrency) == 1
    assert _fill(concurrency, critical=True) == 1
    assert _fill(Concurrency(1)) == 1


def test_one_burst_of_20429_is_one_signal() -> None:
    concurrency = Concurrency(100)
    _fill(concurrency)
    assert concurrency.throttled(10.0)
    assert concurrency.slots == 62
    assert not concurrency.throttled(10.1)
    assert concurrency.slots == 62
    assert concurrency.throttled(10.6)
    assert concurrency.slots == 44


def test_the_limit_comes_back_while_it_is_used_and_only_then() -> None:
    concurrency = Concurrency(100)
    _fill(concurrency)
    concurrency.throttled(10.0)
    cut = concurrency.slots
    for _ in range(1000):
        concurrency.in_flight = 1
        concurrency.answered()
    assert concurrency.slots == cut, "a limit that is not used proves nothing"
    concurrency.in_flight = 0
    for _ in range(20_000):
        _fill(concurrency)
        concurrency.answered()
    assert concurrency.slots == 100


def test_repeated_refusals_leave_two_slots() -> None:
    concurrency = Concurrency(100)
    for number in range(50):
        concurrency.started()
        concurrency.throttled(float(number))
    assert concurrency.slots == 2
    assert concurrency.in_flight == 0


def test_what_twilio_reports_is_remembered() -> None:
    concurrency = Concurrency(10)
    concurrency.started()
    concurrency.answered(reported=17)
    concurrency.started()
    concurrency.answered()
    assert concurrency.reported == 17
