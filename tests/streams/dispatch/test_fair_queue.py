"""Fairness between apps, earliest deadline inside one."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from streams.dispatch.fair_queue import FairQueue
from streams.dispatch.jobs import Job, JobState

from .simulation import job


def _queue(*jobs: Job) -> FairQueue:
    queue = FairQueue()
    for number, each in enumerate(jobs):
        each.sequence = number
        each.state = JobState.WAITING
        queue.push(each)
    return queue


def _drain(queue: FairQueue) -> list[Job]:
    out = []
    while (head := queue.head()) is not None:
        assert queue.pop() is head
        out.append(head)
    return out


def test_inside_an_app_the_earliest_deadline_is_first_and_equal_ones_keep_their_order() -> None:
    first, second, urgent = job(deadline=200), job(deadline=200), job(deadline=100)
    assert _drain(_queue(first, second, urgent)) == [urgent, first, second]


def test_an_app_with_a_thousand_messages_takes_turns_with_one_that_has_two() -> None:
    queue = _queue(*[job(app="loud") for _ in range(1000)], *[job(app="quiet") for _ in range(2)])
    assert Counter(each.order.app for each in _drain(queue)[:4]) == {"loud": 2, "quiet": 2}


def test_all_that_waits_can_be_looked_through() -> None:
    jobs = [job(app=app) for app in ("shop", "shop", "login", "shop")]
    queue = _queue(*jobs)
    assert set(queue) == set(jobs)
    assert queue.pop() is jobs[2]
    jobs[1].state = JobState.OUT
    queue.discard(jobs[1])
    assert set(queue) == {jobs[0], jobs[3]}


def test_turns_are_counted_in_segments() -> None:
    queue = _queue(*[job(app="long", segments=5) for _ in range(20)], *[job(app="short") for _ in range(100)])
    first = _drain(queue)[:60]
    segments = Counter[str]()
    for each in first:
        segments[each.order.app] += each.segments
    assert abs(segments["long"] - segments["short"]) <= 5


def test_an_app_gains_no_credit_by_being_idle() -> None:
    queue = _queue(*[job(app="steady") for _ in range(100)])
    for _ in range(50):
        queue.pop()
    late = [job(app="late") for _ in range(50)]
    for number, each in enumerate(late):
        each.sequence, each.state = 1000 + number, JobState.WAITING
        queue.push(each)
    assert Counter(each.order.app for each in _drain(queue)[:20])["late"] <= 11


def test_a_job_that_left_is_passed_over() -> None:
    first, second = job(), job()
    queue = _queue(first, second)
    first.state = JobState.OUT
    queue.discard(first)
    assert len(queue) == 1
    assert queue.segments == 1
    assert _drain(queue) == [second]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 10), st.integers(0, 5), st.booleans()), max_size=80))
def test_everything_that_waits_comes_out_exactly_once(messages: list[tuple[str, int, int, bool]]) -> None:
    jobs = [job(app=app, segments=segments, deadline=deadline) for app, segments, deadline, _ in messages]
    queue = _queue(*jobs)
    for each, (_, _, _, leaves) in zip(jobs, messages, strict=True):
        if leaves:
            each.state = JobState.OUT
            queue.discard(each)
    out = _drain(queue)
    assert sorted(each.sequence for each in out) == [each.sequence for each in jobs if each.state != JobState.OUT]
    assert len(queue) == 0
    assert queue.segments == 0
