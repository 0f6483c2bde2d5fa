"""The note committed with an offset."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import groupby
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.topic_partition import TP
from streams.dispatch.positions import ROUNDED, IntentPositions, position_of, replay_start

CLASS = TP("comms.dispatch.normal", 0)


def _begun(end: int = 0) -> IntentPositions:
    positions = IntentPositions()
    positions.begin({0: end}, {})
    return positions


def test_without_intents_the_note_is_the_acknowledged_end_and_moves_seldom() -> None:
    positions = _begun(end=12 * ROUNDED)
    assert positions.metadata(CLASS, 5) == f"a1:{12 * ROUNDED}"
    notes = []
    for position in range(12 * ROUNDED, 15 * ROUNDED):
        positions.acked(0, position)
        notes.append(positions.metadata(CLASS, 5))
    assert [each for each, _ in groupby(notes)] == [f"a1:{number * ROUNDED}" for number in (12, 13, 14, 15)]


def test_the_note_is_the_lowest_position_at_or_above_the_offset() -> None:
    positions = _begun()
    for offset, position in ((3, 10), (4, 7), (5, 30)):
        positions.note(CLASS, offset, position)
        positions.acked(0, position)
    assert positions.metadata(CLASS, 3) == "a1:7"
    assert positions.metadata(CLASS, 5) == "a1:30"
    positions.acked(0, ROUNDED + 3)
    assert positions.metadata(CLASS, 6) == f"a1:{ROUNDED}"


def test_a_second_attempt_does_not_hide_the_first() -> None:
    positions = _begun()
    positions.note(CLASS, 3, 10)
    positions.note(CLASS, 3, 20)
    assert positions.metadata(CLASS, 3) == "a1:10"


def test_only_what_the_broker_confirmed_is_forgotten() -> None:
    positions = _begun()
    positions.note(CLASS, 3, 10)
    positions.note(CLASS, 4, 11)
    assert positions.metadata(CLASS, 4) == "a1:11", "this commit may fail"
    assert positions.of(CLASS, 3) == 10
    positions.committed(CLASS, 4)
    assert positions.of(CLASS, 3) is None
    assert positions.of(CLASS, 4) == 11


def test_notes_of_partitions_that_another_worker_serves_are_passed_on() -> None:
    positions = IntentPositions()
    positions.begin({}, {CLASS: "a1:77"})
    assert positions.metadata(CLASS, 3) == "a1:77"


def test_notes_are_read_back_and_nothing_else_is() -> None:
    assert position_of("a1:12") == 12
    assert [position_of(text) for text in ("", "12", "a1:", "a1:x", "a2:12", "a1:-1")] == [None] * 6


def test_replay_starts_at_the_lowest_note_and_at_the_beginning_without_one() -> None:
    assert replay_start(["a1:9", "a1:4"]) == 4
    assert replay_start(["a1:9", None]) is None
    assert replay_start(["a1:9", ""]) is None


@pytest.fixture(scope="module")
def often() -> Iterator[None]:
    """The end's note moves often enough for a short log."""
    with patch("streams.dispatch.positions.ROUNDED", 7):
        yield


@pytest.mark.usefixtures("often")
@given(seed=st.integers(0, 10**9))
def test_replay_from_any_committed_note_finds_every_intent_of_what_comes_again(seed: int) -> None:
    """Records finish in any order; commits succeed, fail, or are confirmed late."""
    rnd = random.Random(seed)
    positions, log = _begun(), list[int]()  # log[position] = offset of the INTENT there
    committed, note = 0, "a1:0"
    delivered, open_offsets = 0, list[int]()
    for _ in range(200):
        action = rnd.random()
        if action < 0.4:
            open_offsets.append(delivered)
            delivered += 1
        if action < 0.7 and open_offsets:
            offset = rnd.choice(open_offsets)
            log.append(offset)
            positions.note(CLASS, offset, len(log) - 1)
            positions.acked(0, len(log) - 1)
        elif action < 0.9 and open_offsets:
            open_offsets.remove(rnd.choice(open_offsets))
        else:
            offset = min(open_offsets, default=delivered)
            attempted = positions.metadata(CLASS, offset)
            if rnd.random() < 0.7:
                committed, note = offset, attempted
                positions.committed(CLASS, offset)
        # A crash now: everything from `committed` on comes again, and the log is read from the note.
        start = position_of(note)
        assert start is not None
        assert all(position >= start for position, offset in enumerate(log) if offset >= committed)
