"""The queue that passes over what one carrier does not let go: with nothing shut it is the other queue."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.dispatch.carrier_queue import CarrierQueue
from streams.dispatch.fair_queue import FairQueue
from streams.dispatch.jobs import Job, JobState

from .simulation import job

CARRIERS = {"att", "tmobile"}


def _some(rnd: random.Random, number: int) -> Job:
    made = job(
        app=rnd.choice("xyz"),
        segments=rnd.choice([1, 2, 7]),
        deadline=rnd.randrange(5),
        carrier=rnd.choice(["att", "tmobile", "other", None]),
    )
    made.sequence, made.state = number, JobState.WAITING
    return made


@settings(deadline=None)
@given(seed=st.integers(0, 10**6))
def test_while_nothing_is_shut_messages_leave_in_the_order_of_the_plain_queue(seed: int) -> None:
    rnd = random.Random(seed)
    plain, split = FairQueue(), CarrierQueue(CARRIERS)
    waiting: list[Job] = []
    for number in range(120):
        if rnd.random() < 0.6:
            made = _some(rnd, number)
            waiting.append(made)
            plain.push(made)
            split.push(made)
        elif waiting and rnd.random() < 0.2:
            gone = waiting.pop(rnd.randrange(len(waiting)))
            gone.state = JobState.OUT
            plain.discard(gone)
            split.discard(gone)
        else:
            head = plain.pop()
            assert split.head() is head
            if head is not None:
                split.take(head)
                waiting.remove(head)
                head.state = JobState.PREPARING
        assert (split.count, split.segments) == (plain.count, plain.segments)
        assert sum(split.of.values()) == split.segments
    assert set(split) == set(plain) == set(waiting)


@settings(deadline=None)
@given(seed=st.integers(0, 10**6))
def test_of_what_is_not_shut_the_app_that_was_served_least_is_next_by_its_earliest_deadline(seed: int) -> None:
    rnd = random.Random(seed)
    queue = CarrierQueue(CARRIERS)
    waiting = [_some(rnd, number) for number in range(60)]
    for each in waiting:
        queue.push(each)
    while waiting:
        shut = rnd.choice([(), ("att",), ("att", "tmobile"), ("tmobile",)])
        open_ = [each for each in waiting if each.order.carrier not in shut]
        head = queue.head(shut)
        assert (head is None) == (not open_)
        if head is None:
            continue
        of_its_app = [each for each in open_ if each.order.app == head.order.app]
        assert (head.deadline, head.sequence) == min((each.deadline, each.sequence) for each in of_its_app)
        queue.take(head)
        waiting.remove(head)
    assert (queue.count, queue.segments, queue.head()) == (0, 0, None)
