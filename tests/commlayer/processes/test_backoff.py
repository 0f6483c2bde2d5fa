from __future__ import annotations

from commlayer.processes.backoff import FIRST_S, HEALTHY_AFTER_S, LONGEST_S, Backoff


def test_waiting_doubles_up_to_a_limit() -> None:
    backoff = Backoff()
    assert [backoff.after(0.5) for _ in range(7)] == [FIRST_S, 2, 4, 8, 16, LONGEST_S, LONGEST_S]


def test_a_healthy_run_begins_anew() -> None:
    backoff = Backoff()
    for _ in range(4):
        backoff.after(0.5)
    assert backoff.after(HEALTHY_AFTER_S) == FIRST_S
    assert backoff.after(HEALTHY_AFTER_S - 1) == 2 * FIRST_S
