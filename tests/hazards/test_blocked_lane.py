"""Defect 6. One topic's agent stops taking records; the others must go on.

Stock has one loop that fills all agents' queues and waits for the full one.
"""

from collections.abc import Callable

from tests.hazards.conftest import MakeProbe
from tests.support.probe import Habit

RECORDS, PARTITIONS = 3000, 4
WINDOW = 1000  # the probe's


def test_stock_stops_everything(probe: MakeProbe, filled: Callable[..., str]) -> None:
    blocked, free = filled(RECORDS, partitions=PARTITIONS), filled(RECORDS, partitions=PARTITIONS)
    stock = probe("stock", {blocked: PARTITIONS, free: PARTITIONS})
    stock.start(Habit(block_after={blocked: 10}))
    stock.wait_for("taken", 11)
    stock.settle("done", 5)
    assert len([place for place in stock.places("done") if place[0] == free]) < RECORDS * PARTITIONS


def test_the_free_lane_does_all_its_work(probe: MakeProbe, filled: Callable[..., str]) -> None:
    blocked, free = filled(RECORDS, partitions=PARTITIONS), filled(RECORDS, partitions=PARTITIONS)
    ours = probe("ours", {blocked: PARTITIONS, free: PARTITIONS})
    ours.start(Habit(block_after={blocked: 10}))
    ours.wait("the free lane is done", lambda: ours.committed(free) == dict.fromkeys(range(PARTITIONS), RECORDS))
    assert len([place for place in ours.places("taken") if place[0] == blocked]) == 11
    assert sum(ours.committed(blocked).values()) <= 10
