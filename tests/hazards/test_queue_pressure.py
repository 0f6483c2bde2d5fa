"""Defect 8. A stage that may hold so many unfinished records gets no more, whatever its queue's fill level does.

Stock's pause is undone when an agent's queue, once over 80 % full, has been emptied to the half.
"""

from collections.abc import Callable

from tests.hazards.conftest import MakeProbe
from tests.support.probe import Habit, all_places

RECORDS, HOLD = 10_000, 1000
HABIT = Habit(hold=HOLD, fill_queue=3500)  # of 4,096, more than 80 %


def test_stock_delivers_on_to_a_paused_partition(probe: MakeProbe, filled: Callable[..., str]) -> None:
    stock = probe("stock", {filled(RECORDS, partitions=1): 1})
    stock.start(HABIT)
    stock.wait_for("taken", HOLD)
    assert stock.settle("taken", 4) > 5 * HOLD


def test_the_window_holds_and_what_it_held_back_comes_later(probe: MakeProbe, filled: Callable[..., str]) -> None:
    topic = filled(RECORDS, partitions=1)
    ours = probe("ours", {topic: 1})
    worker = ours.start(HABIT)
    ours.wait_for("taken", HOLD)
    assert ours.settle("taken", 4) == HOLD
    assert worker.stop() == 0
    assert ours.committed(topic) == {0: 0}
    ours.start()
    ours.wait("all is committed", lambda: ours.committed(topic) == {0: RECORDS})
    assert ours.never("done", all_places(topic, {0: RECORDS})) == set()
    assert ours.done_twice() == 0
