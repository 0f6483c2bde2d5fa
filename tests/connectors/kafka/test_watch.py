"""Whether the client still fetches, and the gauges."""

from connectors.kafka.ledger import Ledger
from connectors.kafka.metrics import ASSIGNED, OUTSTANDING
from connectors.kafka.topic_partition import TP
from connectors.kafka.watch import SILENT_AFTER_S, FetchWatch, set_gauges


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_client_whose_fetches_are_answered_is_live() -> None:
    clock = Clock()
    watch = FetchWatch(clock)
    for response in range(1, 200):
        clock.now += 1
        watch.look(response, expected=True)
    assert watch.health().ok


def test_a_client_that_stopped_fetching_is_not_live() -> None:
    clock = Clock()
    watch = FetchWatch(clock)
    watch.look(7, expected=True)
    clock.now += SILENT_AFTER_S - 1
    watch.look(7, expected=True)
    assert watch.health().ok
    clock.now += 1
    watch.look(7, expected=True)
    assert not watch.health().ok
    watch.look(8, expected=True)
    assert watch.health().ok


def test_where_no_answer_is_expected_silence_is_no_fault() -> None:
    clock = Clock()
    watch = FetchWatch(clock)
    for _ in range(3):
        clock.now += SILENT_AFTER_S
        watch.look(7, expected=False)
        assert watch.health().ok


def test_gauges_add_up_the_partitions_of_a_topic() -> None:
    ledger = Ledger()
    ledger.begin(1, {TP("gauge-a", 0): 0, TP("gauge-a", 1): 0, TP("gauge-b", 0): 0})
    for tp in ledger.partitions:
        ledger.deliver(tp, 0)
    ledger.finish(TP("gauge-b", 0), 0, 1)
    set_gauges(ledger, 4)
    assert OUTSTANDING.labels("gauge-a")._value.get() == 2
    assert OUTSTANDING.labels("gauge-b")._value.get() == 0
    assert (ASSIGNED.labels("yes")._value.get(), ASSIGNED.labels("no")._value.get()) == (3, 4)
