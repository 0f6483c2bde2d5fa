"""Defect 1. Records are finished in any order; a crash must not lose the one that was not.

Stock commits the offset after a run of acks; its test for a gap before that run is off by one, so a single record there
is passed over.
"""

from collections.abc import Callable

from tests.hazards.conftest import MakeProbe
from tests.support.probe import Habit, Probe, all_places

RECORDS, SLOW = 100, 50


def kill_while_one_is_unfinished(probe: Probe, topic: str, committed: int) -> None:
    """One worker takes everything and never finishes SLOW; once `committed` stands, it is killed. A second worker
    finishes whatever it is given."""
    worker = probe.start(Habit(unfinished=(SLOW,)))
    probe.wait_for("taken", RECORDS)
    probe.wait(f"committed {committed}", lambda: probe.committed(topic) == {0: committed})
    worker.kill()
    probe.start()


def test_stock_loses_the_unfinished_record(probe: MakeProbe, filled: Callable[..., str]) -> None:
    topic = filled(RECORDS, partitions=1)
    stock = probe("stock", {topic: 1})
    kill_while_one_is_unfinished(stock, topic, committed=RECORDS)
    stock.wait("assigned to the second worker", lambda: len(stock.assignments(stock.children[1])) > 0)
    stock.settle("done", 3)
    assert stock.never("done", all_places(topic, {0: RECORDS})) == {(topic, 0, SLOW)}


def test_nothing_is_lost(probe: MakeProbe, filled: Callable[..., str]) -> None:
    topic = filled(RECORDS, partitions=1)
    ours = probe("ours", {topic: 1})
    kill_while_one_is_unfinished(ours, topic, committed=SLOW)
    ours.wait_for("done", RECORDS - 1 + RECORDS - SLOW)
    assert ours.never("done", all_places(topic, {0: RECORDS})) == set()
    ours.wait("all is committed", lambda: ours.committed(topic) == {0: RECORDS})
    assert ours.done_twice() == RECORDS - SLOW - 1, "what had finished behind the unfinished record is done again"
