"""The lease: who has been away for too long must not act."""

import math
import time

import pytest

from connectors.kafka.lease import Lease, boot_time


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(clock: Clock) -> Lease:
    return Lease(20.0, max_loop_lag_s=5.0, clock=clock)


def test_without_any_heartbeat_there_is_no_lease(lease: Lease) -> None:
    assert not lease.valid()
    assert lease.age_s() == math.inf


def test_a_confirmed_heartbeat_gives_the_lease_for_its_duration(lease: Lease, clock: Clock) -> None:
    lease.renew(lease.now())
    clock.now += 19.9
    lease.loop_turned()
    assert lease.valid()
    clock.now += 0.1
    lease.loop_turned()
    assert not lease.valid()


def test_time_counts_from_the_request_and_not_from_the_answer(lease: Lease, clock: Clock) -> None:
    requested_at = lease.now()
    clock.now += 15
    lease.renew(requested_at)
    lease.loop_turned()
    assert lease.valid()
    clock.now += 5
    lease.loop_turned()
    assert not lease.valid()


def test_a_late_confirmation_of_an_older_request_does_not_shorten_the_lease(lease: Lease, clock: Clock) -> None:
    older = lease.now()
    clock.now += 10
    lease.renew(lease.now())
    lease.renew(older)
    clock.now += 15
    lease.loop_turned()
    assert lease.valid()


def test_a_lost_lease_needs_a_new_confirmation(lease: Lease, clock: Clock) -> None:
    lease.renew(lease.now())
    lease.lose()
    assert not lease.valid()
    clock.now += 1
    lease.renew(lease.now())
    assert lease.valid()


def test_a_main_loop_that_stood_still_has_no_lease_until_it_turns_again(lease: Lease, clock: Clock) -> None:
    clock.now += 5
    lease.renew(lease.now())  # the other thread's heartbeats went on
    assert not lease.valid()
    lease.loop_turned()
    assert lease.valid()


def test_the_clock_is_seconds_that_advance() -> None:
    before = boot_time()
    time.sleep(0.01)
    assert 0.009 < boot_time() - before < 5
