"""Defect 4. Workers come and go by the book; nothing is lost and nothing finished is done again.

Stock forgets what was acked since the last commit before it commits for the revoked partitions. The commit interval is
long here, so that the commits of the rebalance are all there is.
"""

from collections.abc import Callable

from tests.hazards.conftest import MakeProbe
from tests.support.kafka import Kafka, Outgoing
from tests.support.probe import Habit, Probe, all_places

RECORDS, PARTITIONS = 500, 4
HABIT = Habit(work_s=0.002, commit_interval_s=120.0)


def join_and_leave(probe: Probe, kafka: Kafka) -> None:
    """A second worker joins while the first is at work, and leaves again."""
    first = probe.start(HABIT)
    probe.wait_for("done", 300)
    second = probe.start(HABIT)
    probe.wait("the second shares the work", lambda: probe.assignments(second)[-1:] == [PARTITIONS // 2])
    # However long it took to come: there is work for both.
    (topic,) = probe.topics
    kafka.produce(Outgoing(topic, b"x", partition=p) for p in range(PARTITIONS) for _ in range(RECORDS))
    before = probe.count("done")
    probe.wait_for("done", before + 200)
    assert second.stop() == 0
    probe.wait("the first has all again", lambda: probe.assignments(first)[-1:] == [PARTITIONS])
    probe.wait("all is done", lambda: not probe.never("done", everything(probe)))
    probe.settle("done", 2)


def everything(probe: Probe) -> set[tuple[str, int, int]]:
    (topic,) = probe.topics
    return all_places(topic, dict.fromkeys(range(PARTITIONS), 2 * RECORDS))


def test_stock_does_finished_work_again(probe: MakeProbe, filled: Callable[..., str], kafka: Kafka) -> None:
    stock = probe("stock", {filled(RECORDS, partitions=PARTITIONS): PARTITIONS})
    join_and_leave(stock, kafka)
    assert stock.done_twice() >= 100


def test_nothing_is_done_twice(probe: MakeProbe, filled: Callable[..., str], kafka: Kafka) -> None:
    ours = probe("ours", {filled(RECORDS, partitions=PARTITIONS): PARTITIONS})
    join_and_leave(ours, kafka)
    assert ours.done_twice() == 0
