"""What is finished beyond the committed offset: noted with the commit, and not handed out to the next owner."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.finished import MOST_CHARS, WORTH_NOTING, finished_note, noted_as_finished, stage_note
from connectors.kafka.ledger import PartitionLedger


def ledger_of(start: int, delivered: range, unfinished: set[int]) -> PartitionLedger:
    ledger = PartitionLedger(start)
    for offset in delivered:
        ledger.deliver(offset)
        if offset not in unfinished:
            ledger.finish(offset)
    return ledger


def offsets(stretches: list[range]) -> set[int]:
    return {offset for stretch in stretches for offset in stretch}


@pytest.mark.parametrize(
    ("unfinished", "note"),
    [
        ({0}, "|1,9999"),
        ({0, 5_000}, "|1,4999,1,4999"),
        ({0, 1, 2, 9_999}, "|3,9996"),
        ({*range(9_950, 10_000)}, ""),
        ({9_000, 9_999}, "|1,998"),
        ({*range(10_000 - WORTH_NOTING)}, f"|{10_000 - WORTH_NOTING},{WORTH_NOTING}"),
        ({*range(10_001 - WORTH_NOTING)}, ""),
        (set(), ""),
    ],
)
def test_it_is_noted_where_it_is_worth_it(unfinished: set[int], note: str) -> None:
    ledger = ledger_of(0, range(10_000), unfinished)
    assert finished_note(ledger) == note
    told = offsets(noted_as_finished(ledger.committable(), f"a1:77{note}"))
    assert told == ({*range(min(unfinished), 10_000)} - unfinished if note else set())
    assert stage_note(f"a1:77{note}") == "a1:77"


def test_it_never_grows_beyond_what_kafka_takes_and_then_holds_what_comes_first() -> None:
    ledger = ledger_of(0, range(100_000), {*range(0, 100_000, 20)})
    note = finished_note(ledger)
    assert len(note) <= MOST_CHARS
    told = noted_as_finished(0, note)
    assert len(told) > 150
    assert told == [range(at + 1, at + 20) for at in range(0, 20 * len(told), 20)]


@pytest.mark.parametrize("metadata", ["", "a1:77", "a note | with a bar", "x|", "x|1", "x|1,2,3", "x|1,-2", "x|١,٢"])
def test_another_note_says_nothing_of_finished_records(metadata: str) -> None:
    assert noted_as_finished(5, metadata) == []
    assert stage_note(metadata) == metadata


def test_what_an_earlier_owner_finished_is_not_handed_out_and_stays_noted_before_it_has_come() -> None:
    first = ledger_of(100, range(100, 1_100), {100, 700})
    note = finished_note(first)
    second = PartitionLedger(100, noted_as_finished(100, note))
    assert finished_note(second) == note, "it may die before anything was delivered"
    handed = [offset for offset in range(100, 600) if second.deliver(offset)]
    assert handed == [100]
    assert finished_note(second) == note, "or in the middle"
    handed += [offset for offset in range(600, 1_103) if second.deliver(offset)]
    assert handed == [100, 700, 1_100, 1_101, 1_102]
    assert (second.outstanding(), second.held(), second.committable()) == (5, 1_003, 100)
    second.finish(100)
    assert second.committable() == 700
    second.finish(700)
    assert second.committable() == 1_100


def test_a_finished_head_moves_the_offset_into_what_was_noted() -> None:
    ledger = PartitionLedger(0, [range(1, 500)])
    for offset in range(10):
        ledger.deliver(offset)
    ledger.finish(0)
    assert (ledger.committable(), ledger.held()) == (10, 0)
    assert noted_as_finished(10, finished_note(ledger)) == [range(10, 500)]
    assert not ledger.deliver(10)
    assert ledger.committable() == 11


@given(
    st.lists(st.tuples(st.integers(1, 400), st.randoms(use_true_random=False)), min_size=1, max_size=6),
    st.sets(st.integers(0, 999)),
)
def test_through_any_deaths_each_record_is_finished_by_somebody(
    owners: list[tuple[int, random.Random]], holes: set[int]
) -> None:
    """Each owner delivers some records, finishes some of them in any order, commits, and dies."""
    log = [offset for offset in range(1_000) if offset not in holes]
    finished: set[int] = set()
    offset, note = 0, ""
    for most, rnd in owners:
        ledger = PartitionLedger(offset, noted_as_finished(offset, note))
        handed = []
        for each in [each for each in log if each >= offset][:most]:
            if ledger.deliver(each):
                handed.append(each)
            else:
                assert each in finished, "what nobody finished is never passed over"
        for each in rnd.sample(handed, rnd.randint(0, len(handed))):
            ledger.finish(each)
            finished.add(each)
        offset, note = ledger.committable(), finished_note(ledger)
        assert {each for each in log if each < offset} <= finished
