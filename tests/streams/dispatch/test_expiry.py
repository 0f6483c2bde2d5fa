"""Deadlines of what is held."""

from __future__ import annotations

from streams.dispatch.expiry import Expiry
from streams.dispatch.jobs import Job, JobState

from .simulation import job


def _held(sequence: int, deadline: int) -> Job:
    each = job(deadline=deadline)
    each.sequence, each.state = sequence, JobState.WAITING
    return each


def test_only_what_is_held_and_overdue_is_due() -> None:
    expiry = Expiry()
    early, sent, late = _held(1, 100), _held(2, 100), _held(3, 300)
    for each in (early, sent, late):
        expiry.add(each)
    sent.state = JobState.SENDING
    expiry.left()
    assert expiry.next_ms() == 100
    assert expiry.due(100) == [], "the deadline itself is still in time"
    assert expiry.due(101) == [early]
    assert expiry.next_ms() == 300


def test_a_retry_is_due_once() -> None:
    expiry = Expiry()
    each = _held(1, 100)
    expiry.add(each)
    expiry.left()
    each.sequence = 2
    expiry.add(each)
    assert expiry.due(200) == [each]


def test_memory_follows_what_is_held_not_what_has_passed_through() -> None:
    expiry = Expiry()
    for number in range(20_000):
        each = _held(number, 10**9)
        expiry.add(each)
        each.state = JobState.OUT
        expiry.left()
    assert len(expiry._heap) <= 1_001
