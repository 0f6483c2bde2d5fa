"""Defect 2. An agent raises; the record that caused it must come again.

Stock restarts the agent, which goes on with the next record, and commits past the one that failed.
"""

from collections.abc import Callable

from tests.hazards.conftest import MakeProbe
from tests.support.probe import Habit, all_places

RECORDS, POISON = 30, 5


def test_stock_loses_the_record_whose_agent_raised(probe: MakeProbe, filled: Callable[..., str]) -> None:
    topic = filled(RECORDS, partitions=1)
    stock = probe("stock", {topic: 1})
    worker = stock.start(Habit(poison=POISON))
    stock.wait("everything is committed", lambda: stock.committed(topic) == {0: RECORDS})
    assert worker.returncode is None, "it goes on as if nothing had happened"
    assert stock.never("done", all_places(topic, {0: RECORDS})) == {(topic, 0, POISON)}


def test_the_process_ends_and_the_record_comes_again(probe: MakeProbe, filled: Callable[..., str]) -> None:
    topic = filled(RECORDS, partitions=1)
    ours = probe("ours", {topic: 1})
    worker = ours.start(Habit(poison=POISON))
    assert worker.wait(60) == 1
    assert "cannot take offset 5" in worker.output(100_000)
    assert ours.committed(topic).get(0, 0) <= POISON
    ours.start()
    ours.wait("everything is committed", lambda: ours.committed(topic) == {0: RECORDS})
    assert ours.never("done", all_places(topic, {0: RECORDS})) == set()
