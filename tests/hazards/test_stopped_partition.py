"""Defect 5. A partition is stopped while its records are being delivered, and read on a moment later.

Stock's way is `pause_partitions`: what was fetched already is dropped, taken for a hole in the log, and committed past.
Ours is a window that closes.
"""

from collections.abc import Callable

from tests.hazards.conftest import MakeProbe
from tests.support.probe import Habit, all_places

RECORDS = 2000
HABIT = Habit(stop_reading_at=500)


def test_stock_drops_what_it_had_fetched_and_commits_past_it(
    probe: MakeProbe, filled: Callable[..., str], more: Callable[[str], None]
) -> None:
    topic = filled(RECORDS, partitions=1)
    stock = probe("stock", {topic: 1})
    stock.start(HABIT)
    stock.wait_for("done", 500)
    stock.settle("done", 4)
    more(topic)  # stock takes the hole for one when a record behind it arrives
    stock.wait("the last one is committed", lambda: stock.committed(topic) == {0: RECORDS + 1})
    assert len(stock.never("taken", all_places(topic, {0: RECORDS}))) >= 1000


def test_nothing_is_dropped(probe: MakeProbe, filled: Callable[..., str], more: Callable[[str], None]) -> None:
    topic = filled(RECORDS, partitions=1)
    ours = probe("ours", {topic: 1})
    ours.start(HABIT)
    more(topic)
    ours.wait("the last one is committed", lambda: ours.committed(topic) == {0: RECORDS + 1})
    assert ours.never("done", all_places(topic, {0: RECORDS + 1})) == set()
    assert ours.done_twice() == 0
