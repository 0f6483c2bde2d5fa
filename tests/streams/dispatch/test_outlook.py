"""When what is held will have left, in the scheduler, the view and the metrics."""

from __future__ import annotations

from math import inf

import pytest
from prometheus_client import CollectorRegistry

from schemas.records import MessageClass
from streams.dispatch import metrics
from streams.dispatch.backlog import Unread
from streams.dispatch.lanes import Group
from streams.dispatch.outlook import outlooks
from streams.dispatch.shares import CLASSES

from .simulation import job, lane, scheduler, table


def test_the_eta_is_that_of_the_slower_of_lane_and_group() -> None:
    made = scheduler(table([lane("a", 10.0, group="pair"), lane("b", 2.0, group="pair")], [Group("pair", 0, 4.0)]))
    for _ in range(20):
        made.push(job(lane="a"))
    for _ in range(4):
        made.push(job(lane="b", segments=3))
    found = outlooks(made)
    assert (found["a"].segments, found["a"].eta_s) == (20, 8.0)  # 32 segments of the group at 4/s
    assert (found["b"].segments, found["b"].eta_s) == (12, 8.0)


def test_a_paused_lane_has_no_end_and_an_idle_one_ends_now() -> None:
    made = scheduler(table([lane("a", 10.0), lane("b", 10.0)]))
    made.push(job(lane="a"))
    made.lanes["a"].breaker.paused = made.lanes["b"].breaker.paused = True
    assert [each.eta_s for each in outlooks(made).values()] == [inf, 0.0]
    made.lanes["a"].breaker.paused = False
    made.accounts["main"].breaker.paused = True
    assert outlooks(made)["a"].eta_s == inf


def test_eta_and_utilisation_are_gauges_of_each_lane() -> None:
    made = scheduler(table([lane("a", 10.0)]))
    for _ in range(5):
        made.push(job(lane="a"))
    registry = CollectorRegistry()
    metrics.watch(made, registry, sending={"a": 4.0}.__getitem__)
    assert registry.get_sample_value("commlayer_dispatch_lane_eta_seconds", {"lane": "a"}) == pytest.approx(0.5)
    assert registry.get_sample_value("commlayer_dispatch_lane_utilisation", {"lane": "a"}) == pytest.approx(0.4)


def test_what_lies_unread_is_a_gauge_too_and_how_long_a_new_message_waits_behind_it() -> None:
    made = scheduler(table([lane("a", 10.0)]))
    unread = {(0, CLASSES.index(MessageClass.BULK)): Unread(500, 1.0)}
    registry = CollectorRegistry()
    metrics.watch(made, registry, sending={"a": 10.0}.__getitem__, unread=lambda: unread)
    labels = {"partition": "0", "class": "bulk"}
    assert registry.get_sample_value("commlayer_dispatch_unread", labels) == 500
    eta = "commlayer_dispatch_new_message_eta_seconds"
    assert registry.get_sample_value(eta, {"lane": "a", "class": "bulk"}) == pytest.approx(50.0)
    unread.clear()
    assert registry.get_sample_value("commlayer_dispatch_unread", labels) is None
    assert registry.get_sample_value(eta, {"lane": "a", "class": "bulk"}) is None
