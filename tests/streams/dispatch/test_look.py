"""The last look before a POST."""

from __future__ import annotations

from streams.dispatch.jobs import Job
from streams.dispatch.look import INTENT_VALID_MS, Refusal, last_look

from .simulation import order


def test_a_message_in_time_may_start_up_to_its_deadline() -> None:
    job = Job(order(deadline=1_000))
    assert last_look(job, 1_000) is None
    assert last_look(job, 1_001) is Refusal.EXPIRED


def test_quiet_hours_that_begin_meanwhile_send_it_back() -> None:
    allowed = order()
    allowed.allowed_until = 500
    assert last_look(Job(allowed), 499) is None
    assert last_look(Job(allowed), 500) is Refusal.WINDOW_CLOSED


def test_an_intent_of_more_than_a_second_ago_is_stale() -> None:
    job = Job(order())
    job.intent_at = 10_000
    assert last_look(job, 10_000 + INTENT_VALID_MS) is None
    assert last_look(job, 10_001 + INTENT_VALID_MS) is Refusal.STALE
