"""A process is paused (SIGSTOP, a frozen virtual machine) for longer than its session, and its partitions go to
another; when it wakes up, it must do nothing that the other has done.

It learns of its loss only some time after waking up. Stock goes on with what it has in hand and in its queues; ours
asks the lease right before it acts.
"""

import signal
from collections.abc import Callable

from tests.hazards.conftest import MakeProbe
from tests.support.probe import Habit, Probe, all_places

RECORDS = 150
HABIT = Habit(work_s=0.05)


def pause_until_another_has_done_everything(probe: Probe, topic: str) -> None:
    first = probe.start(HABIT)
    probe.wait_for("done", 20)
    first.signal(signal.SIGSTOP)
    second = probe.start(HABIT)
    probe.wait("all is committed by the second", lambda: probe.committed(topic) == {0: RECORDS})
    first.signal(signal.SIGCONT)
    probe.wait("the first is back in the group", lambda: len(probe.assignments(first)) >= 2)
    probe.settle("done", 2)
    assert second.returncode is None
    assert probe.committed(topic) == {0: RECORDS}, "a late commit must not take the group back"


def test_stock_does_what_another_has_done(probe: MakeProbe, filled: Callable[..., str]) -> None:
    topic = filled(RECORDS, partitions=1)
    stock = probe("stock", {topic: 1})
    pause_until_another_has_done_everything(stock, topic)
    assert stock.done_twice() >= 1


def test_nothing_is_done_twice_but_what_was_not_committed_yet(probe: MakeProbe, filled: Callable[..., str]) -> None:
    topic = filled(RECORDS, partitions=1)
    ours = probe("ours", {topic: 1})
    pause_until_another_has_done_everything(ours, topic)
    done = ours.places("done")
    assert set(done) == all_places(topic, {0: RECORDS})
    # What the first did since its last commit, before it was paused, is done again by the second: that is no fault of
    # waking up. Nothing follows the last record.
    assert done.index((topic, 0, RECORDS - 1)) == len(done) - 1
    assert ours.count("fenced") >= 1
