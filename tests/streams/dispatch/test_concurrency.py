"""Slots of an account."""

from __future__ import annotations

from streams.dispatch.concurrency import REMEMBERED_S, Concurrency


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
        concurrency.answered(0.0)
    assert concurrency.slots == cut, "a limit that is not used proves nothing"
    concurrency.in_flight = 0
    for _ in range(20_000):
        _fill(concurrency)
        concurrency.answered(0.0)
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
    concurrency.answered(0.0, 17)
    concurrency.started()
    concurrency.answered(0.0)
    assert concurrency.reported == 17


def test_nobody_takes_more_while_the_account_is_near_the_number_at_which_twilio_refused() -> None:
    concurrency = Concurrency(100)
    _fill(concurrency)
    concurrency.throttled(10.0, 50)
    cut = concurrency.slots

    def answers(now: float, reported: int | None) -> int:
        for _ in range(200):
            _fill(concurrency)
            concurrency.answered(now, reported)
        return concurrency.slots

    assert answers(11.0, 48) == cut, "other processes use what is left"
    assert answers(11.0, 20) > cut
    cut = concurrency.slots
    assert answers(10.0 + REMEMBERED_S + 1, 48) > cut, "that was long ago"
