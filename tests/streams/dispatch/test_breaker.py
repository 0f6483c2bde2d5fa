"""Pauses after trouble."""

from __future__ import annotations

from streams.dispatch.breaker import FOREVER, Backoff, Breaker

_BACKOFF = Backoff(first_s=1.0, cap_s=8.0, jitter=0.1)


def _breaker(random: float = 0.5) -> Breaker:
    return Breaker(_BACKOFF, lambda: random)


def test_waits_double_up_to_the_cap() -> None:
    waits = [_BACKOFF.wait_s(times, lambda: 0.5) for times in range(1, 7)]
    assert waits == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0]


def test_waits_are_jittered_both_ways() -> None:
    assert _BACKOFF.wait_s(1, lambda: 0.0) == 0.9
    assert _BACKOFF.wait_s(1, lambda: 1.0) == 1.1


def test_trouble_of_messages_that_were_under_way_does_not_lengthen_the_wait() -> None:
    breaker = _breaker()
    assert breaker.trip(0.0, "away") == 1.0
    assert breaker.trip(0.4, "away") == 0.6
    assert breaker.troubles == 1


def test_a_failed_probe_opens_it_for_longer_and_a_good_one_closes_it() -> None:
    breaker = _breaker()
    breaker.trip(0.0, "away")
    assert not breaker.success(0.5), "an answer from before the trouble proves nothing"
    assert not breaker.closed
    assert breaker.trip(1.5, "away") == 2.0
    assert breaker.success(3.6)
    assert breaker.closed
    assert breaker.why == ""
    assert breaker.trip(10.0, "again") == 1.0, "the count starts anew"


def test_an_operators_pause_outlasts_successes() -> None:
    breaker = _breaker()
    breaker.paused = True
    assert breaker.opens_at == FOREVER
    breaker.success(100.0)
    assert not breaker.closed
