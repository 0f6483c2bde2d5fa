"""The pure parts of partition state: envelope, records of a put, fold, and the order of the log."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.state.envelope import (
    CLAIM_KEY,
    MARK_KEY,
    BadEnvelope,
    Claim,
    Source,
    Write,
    headers_of,
    opened,
)
from connectors.kafka.state.fold import Fold, Folded
from connectors.kafka.state.log_order import Hole, LogOrder
from connectors.kafka.state.writing import Writer

IN, OTHER = Source("in", 3), Source("other", 3)
KEYS = [b"a", b"b", b"c"]


def test_a_write_is_read_back_as_it_was_written() -> None:
    write = Write(7, b"key", None, ((IN, 5), (OTHER, 2**40)))
    assert opened(write.key, write.value, headers_of(write.epoch, write.sources)) == write
    assert opened(CLAIM_KEY, b"owner", None) == Claim()


@pytest.mark.parametrize(
    ("key", "headers"),
    [
        (None, headers_of(1, ())),
        (b"", headers_of(1, ())),
        (b"\0unknown", headers_of(1, ())),
        (b"k", []),
        (b"k", [("epoch", b"1")]),
        (b"k", [("epoch", None)]),
        (b"k", [*headers_of(1, ()), ("source", b"short")]),
        (b"k", [*headers_of(1, ()), ("source", b"\0" * 12 + b"\xff")]),
    ],
)
def test_what_this_package_did_not_write_is_refused(key: bytes | None, headers: list[tuple[str, bytes]]) -> None:
    with pytest.raises(BadEnvelope):
        opened(key, b"value", headers)


def test_a_write_of_a_former_owner_is_ignored_and_remembered_until_the_key_is_written_again() -> None:
    fold = Fold()
    assert fold.take(0, Claim()) is Folded.CLAIMED
    assert fold.take(1, Write(0, b"k", b"good")) is Folded.APPLIED
    assert fold.take(2, Claim()) is Folded.CLAIMED
    assert fold.take(3, Write(0, b"k", b"late", ((IN, 9),))) is Folded.STALE
    assert (fold.take_changes(), fold.sources, fold.overwritten) == ({b"k": b"good"}, {}, {b"k"})
    assert fold.take(4, Write(2, b"k", b"good")) is Folded.APPLIED
    assert fold.overwritten == set()


def test_the_source_counts_from_the_last_record_of_a_put_on() -> None:
    records = Writer(0, {}).records({b"a": b"1", b"b": None, b"c": b"2"}, (IN, 8))
    assert [(record.key, record.sources) for record in records] == [(b"b", ()), (b"a", ()), (b"c", ((IN, 8),))]


@pytest.mark.parametrize("key", [b"", b"\0", CLAIM_KEY])
def test_a_key_that_is_not_the_callers_is_refused(key: bytes) -> None:
    with pytest.raises(ValueError, match="zero byte"):
        Writer(0, {}).records({b"fine": b"", key: b""}, None)


puts = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(KEYS), st.one_of(st.none(), st.binary(max_size=2)), min_size=1),
        st.one_of(st.none(), st.tuples(st.sampled_from([IN, OTHER]), st.integers(0, 30))),
    ),
    max_size=12,
)


@given(puts, st.integers(0, 40))
def test_compaction_takes_no_source_position_and_no_value_away(
    puts: list[tuple[dict[bytes, bytes | None], tuple[Source, int] | None]], compacted_to: int
) -> None:
    writer, log = Writer(0, {}), []
    entries: dict[bytes, bytes] = {}
    positions: dict[Source, int] = {}
    for changes, source in puts:
        log += writer.records(changes, source)
        entries = {key: value for key, value in {**entries, **changes}.items() if value is not None}
        if source is not None:
            positions[source[0]] = max(source[1], positions.get(source[0], 0))
    head = log[:compacted_to]
    last = {record.key: number for number, record in enumerate(head)}
    kept = [n for n, record in enumerate(head) if last[record.key] == n and record.value is not None]
    fold = Fold()
    for number in [*kept, *range(len(head), len(log))]:
        fold.take(number, log[number])
    assert {key: value for key, value in fold.take_changes().items() if value is not None} == entries
    assert {source: reached.offset for source, reached in fold.sources.items()} == positions
    assert all(reached.carrier in entries or reached.carrier == MARK_KEY for reached in fold.sources.values())


@given(st.data())
def test_whatever_the_order_of_acknowledgements_what_is_folded_is_a_prefix_of_the_log(data: st.DataObject) -> None:
    """Also when others wrote in between, and wherever a crash comes: nothing before the position is missing."""
    ours = data.draw(st.lists(st.booleans(), max_size=20), label="ours")
    acks = data.draw(st.permutations([offset for offset, own in enumerate(ours) if own]), label="order of acks")
    order: LogOrder[int] = LogOrder(0)
    position, unread = 0, set(range(len(ours))) - set(acks)
    for ack in acks:
        order.acknowledged(ack, ack)
        for offset, record in order.take():
            assert offset == record == position, "a record is folded once, and behind all before it"
            position = offset + 1
        hole = order.hole()
        if hole is not None and set(range(*hole)) <= unread:  # only others wrote there: read it
            assert hole.start == position
            order.filled(hole)
            position = hole.end
            turn = order.take()
            assert [offset for offset, _ in turn] == list(range(position, position + len(turn)))
            assert turn, "what waited for the hole has its turn"
            position += len(turn)


def test_a_record_that_was_read_with_a_hole_comes_out_when_its_acknowledgement_does() -> None:
    order: LogOrder[str] = LogOrder(5)
    order.acknowledged(7, "second")
    assert order.take() == []
    assert order.hole() == Hole(5, 7)
    order.filled(Hole(5, 7))
    order.acknowledged(6, "first")
    assert order.take() == [(6, "first"), (7, "second")]
    assert len(order) == 0
