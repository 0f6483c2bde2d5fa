"""How much of each partition is fetched next."""

import pytest

from connectors.kafka.ledger import Ledger
from connectors.kafka.topic_partition import TP
from connectors.kafka.window import MAX_HELD, Windows

CRITICAL, BULK, OTHER = TP("critical", 5), TP("bulk", 5), TP("bulk", 6)


def ledger_of(*partitions: TP) -> Ledger:
    ledger = Ledger()
    ledger.begin(1, dict.fromkeys(partitions, 0))
    return ledger


def rooms(windows: Windows, ledger: Ledger) -> dict[TP, int]:
    return windows.rooms(ledger.partitions)


def deliver(ledger: Ledger, tp: TP, count: int) -> None:
    for offset in range(count):
        ledger.deliver(tp, offset)


def test_an_empty_partition_gives_as_much_as_is_fair() -> None:
    assert rooms(Windows(lambda tp: 1000), ledger_of(BULK)) == {BULK: 100}


def test_room_is_what_the_window_leaves() -> None:
    ledger = ledger_of(BULK)
    deliver(ledger, BULK, 30)
    assert rooms(Windows(lambda tp: 50), ledger) == {BULK: 20}


@pytest.mark.parametrize(("window", "unfinished", "room"), [(40, 31, 0), (40, 30, 10), (1, 0, 1), (1, 1, 0), (3, 2, 1)])
def test_a_partition_is_read_again_when_a_quarter_of_it_is_free(window: int, unfinished: int, room: int) -> None:
    ledger = ledger_of(BULK)
    deliver(ledger, BULK, unfinished)
    assert rooms(Windows(lambda tp: window), ledger).get(BULK, 0) == room


def test_a_wide_window_is_refilled_by_a_quarter_of_a_fetch() -> None:
    ledger = ledger_of(BULK)
    deliver(ledger, BULK, 976)
    assert rooms(Windows(lambda tp: 1000), ledger) == {}
    ledger.finish(BULK, 500, 1)
    assert rooms(Windows(lambda tp: 1000), ledger) == {BULK: 25}


@pytest.mark.parametrize("window", [30, 20, 0])
def test_a_partition_at_its_window_or_above_is_not_read(window: int) -> None:
    ledger = ledger_of(BULK)
    deliver(ledger, BULK, 30)
    assert rooms(Windows(lambda tp: window), ledger) == {}


def test_a_stage_may_let_more_or_less_be_held_than_the_transport() -> None:
    ledger = ledger_of(BULK)
    deliver(ledger, BULK, 40)
    for offset in range(1, 40):
        ledger.finish(BULK, offset, 1)
    assert rooms(Windows(lambda tp: 1000, held=lambda tp: 100), ledger) == {BULK: 60}
    assert rooms(Windows(lambda tp: 1000, held=lambda tp: 40), ledger) == {}


def test_finished_records_make_room_even_behind_one_that_takes_long() -> None:
    ledger = ledger_of(BULK)
    deliver(ledger, BULK, 30)
    for offset in range(10, 20):
        ledger.finish(BULK, offset, 1)
    assert rooms(Windows(lambda tp: 30), ledger) == {BULK: 10}


def test_a_full_partition_leaves_the_others_alone() -> None:
    ledger = ledger_of(BULK, CRITICAL)
    deliver(ledger, BULK, 20)
    assert rooms(Windows(lambda tp: 20), ledger) == {CRITICAL: 20}


def test_each_partition_has_its_own_window() -> None:
    windows = Windows(lambda tp: {BULK: 20, CRITICAL: 40}[tp])
    assert rooms(windows, ledger_of(BULK, CRITICAL)) == {BULK: 20, CRITICAL: 40}


def test_what_a_crash_would_deliver_again_is_bounded() -> None:
    ledger = ledger_of(BULK)
    deliver(ledger, BULK, MAX_HELD)
    for offset in range(1, MAX_HELD):
        ledger.finish(BULK, offset, 1)
    windows = Windows(lambda tp: 1000)
    assert rooms(windows, ledger) == {}
    ledger.finish(BULK, 0, 1)
    assert rooms(windows, ledger) == {BULK: 100}


def test_a_partition_is_served_only_where_its_anchor_is() -> None:
    windows = Windows(lambda tp: 10, anchor="critical")
    assert windows.served({CRITICAL, BULK, OTHER}) == {CRITICAL, BULK}
    assert windows.served({CRITICAL, BULK, OTHER, TP("critical", 6)}) == {CRITICAL, BULK, OTHER, TP("critical", 6)}


def test_the_anchor_itself_needs_no_other_topic() -> None:
    assert Windows(lambda tp: 10, anchor="critical").served([CRITICAL]) == {CRITICAL}


def test_without_an_anchor_all_that_is_assigned_is_served() -> None:
    assert Windows(lambda tp: 10).served([BULK, OTHER]) == {BULK, OTHER}
