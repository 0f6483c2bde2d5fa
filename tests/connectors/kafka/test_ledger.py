"""What may be committed, whatever the order in which records are finished."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from connectors.kafka.ledger import NO_GENERATION, Ledger, PartitionLedger
from connectors.kafka.topic_partition import TP

A, B = TP("a", 0), TP("b", 3)


@pytest.mark.parametrize(
    ("name", "start", "delivered", "finished", "committable", "outstanding", "held"),
    [
        ("nothing delivered", 7, [], [], 7, 0, 0),
        ("nothing finished", 0, [0, 1, 2], [], 0, 3, 3),
        ("in order", 0, [0, 1, 2], [0, 1], 2, 1, 1),
        ("everything", 0, [0, 1, 2], [2, 0, 1], 3, 0, 0),
        ("the first one is still under way", 0, [0, 1, 2, 3], [1, 2, 3], 0, 1, 4),
        ("one in the middle is still under way", 100, [100, 101, 102], [102, 100], 101, 1, 2),
        ("a hole before the first record", 5, [9, 10], [], 9, 2, 2),
        ("a hole behind the finished prefix", 0, [0, 7, 8], [0], 7, 2, 2),
        ("a hole inside what is finished", 0, [0, 7, 8], [0, 8], 7, 1, 2),
        ("holes, all finished", 0, [3, 7, 8], [8, 7, 3], 9, 0, 0),
    ],
)
def test_the_first_delivered_record_that_is_not_finished_is_committed(
    name: str,
    start: int,
    delivered: list[int],
    finished: list[int],
    committable: int,
    outstanding: int,
    held: int,
) -> None:
    ledger = PartitionLedger(start)
    for offset in delivered:
        ledger.deliver(offset)
    for offset in finished:
        assert ledger.finish(offset)
    assert (ledger.committable(), ledger.outstanding(), ledger.held()) == (committable, outstanding, held), name


def test_finishing_twice_counts_once() -> None:
    ledger = PartitionLedger(0)
    ledger.deliver(0)
    ledger.deliver(1)
    assert ledger.finish(1)
    assert not ledger.finish(1)
    assert (ledger.committable(), ledger.outstanding()) == (0, 1)


def test_what_was_never_delivered_cannot_be_finished() -> None:
    ledger = PartitionLedger(10)
    ledger.deliver(10)
    assert not ledger.finish(11)
    assert not ledger.finish(9)
    assert ledger.committable() == 10


@pytest.mark.parametrize("again", [4, 5, 0])
def test_an_offset_that_does_not_grow_is_an_error(again: int) -> None:
    ledger = PartitionLedger(4)
    ledger.deliver(5)
    with pytest.raises(ValueError, match="after 5 was delivered"):
        ledger.deliver(again)


def test_a_finish_of_an_older_generation_does_not_count_for_the_same_offset_delivered_again() -> None:
    ledger = Ledger()
    ledger.begin(1, {A: 0})
    ledger.deliver(A, 0)
    ledger.begin(2, {A: 0})
    ledger.deliver(A, 0)
    assert not ledger.finish(A, 0, 1)
    assert ledger.committable(A) == 0
    assert ledger.finish(A, 0, 2)
    assert ledger.committable(A) == 1


def test_between_two_generations_nothing_is_outstanding_and_nothing_finishes() -> None:
    ledger = Ledger()
    ledger.begin(1, {A: 0})
    ledger.deliver(A, 0)
    ledger.end()
    assert ledger.generation == NO_GENERATION
    assert not ledger.finish(A, 0, 1)
    assert not ledger.finish(A, 0, NO_GENERATION)
    assert (ledger.outstanding(A), len(ledger.partitions)) == (0, 0)


def test_a_delivery_from_a_partition_that_is_not_assigned_is_an_error() -> None:
    ledger = Ledger()
    ledger.begin(1, {A: 0})
    with pytest.raises(KeyError):
        ledger.deliver(B, 0)


def test_partitions_do_not_mix() -> None:
    ledger = Ledger()
    ledger.begin(1, {A: 0, B: 50})
    ledger.deliver(A, 0)
    ledger.deliver(B, 50)
    ledger.finish(B, 50, 1)
    assert (ledger.committable(A), ledger.committable(B)) == (0, 51)
    assert (ledger.outstanding(A), ledger.outstanding(B)) == (1, 0)


@given(
    gaps=st.lists(st.integers(min_value=1, max_value=9), min_size=1, max_size=60),
    order=st.randoms(use_true_random=False),
    start=st.integers(min_value=0, max_value=1000),
)
def test_any_order_of_finishing_ends_with_everything_committable(
    gaps: list[int], order: random.Random, start: int
) -> None:
    ledger = PartitionLedger(start)
    offsets, offset = [], start - 1
    for gap in gaps:
        offset += gap
        offsets.append(offset)
        ledger.deliver(offset)
    last = start
    order.shuffle(offsets)
    for finished in offsets:
        ledger.finish(finished)
        assert ledger.committable() >= last
        last = ledger.committable()
    assert (ledger.committable(), ledger.outstanding(), ledger.held()) == (offset + 1, 0, 0)


class LedgerAgainstABook(RuleBasedStateMachine):
    """The ledger against the plainest possible bookkeeping, through deliveries, finishes and rebalances."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.generation = 1
        self.ledger.begin(1, {A: 0})
        self.start = 0
        self.delivered: list[int] = []
        self.finished: set[int] = set()
        self.earlier: list[tuple[int, int]] = []

    @rule(gap=st.integers(min_value=0, max_value=3))
    def deliver(self, gap: int) -> None:
        offset = (self.delivered[-1] + 1 if self.delivered else self.start) + gap
        self.ledger.deliver(A, offset)
        self.delivered.append(offset)

    @precondition(lambda self: self.delivered)
    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(self.delivered))
        assert self.ledger.finish(A, offset, self.generation) is (offset not in self.finished)
        self.finished.add(offset)

    @precondition(lambda self: self.earlier)
    @rule(data=st.data())
    def finish_late(self, data: st.DataObject) -> None:
        offset, generation = data.draw(st.sampled_from(self.earlier))
        assert not self.ledger.finish(A, offset, generation)

    @rule()
    def rebalance(self) -> None:
        self.earlier += [(offset, self.generation) for offset in self.delivered]
        self.start = self.ledger.committable(A)
        self.generation += 1
        self.ledger.end()
        self.ledger.begin(self.generation, {A: self.start})
        self.delivered, self.finished = [], set()

    @invariant()
    def nothing_unfinished_lies_below_what_would_be_committed(self) -> None:
        unfinished = [offset for offset in self.delivered if offset not in self.finished]
        following = self.delivered[-1] + 1 if self.delivered else self.start
        assert self.ledger.committable(A) == min(unfinished, default=following)
        assert self.ledger.outstanding(A) == len(unfinished)
        held = [offset for offset in self.delivered if offset >= min(unfinished, default=following)]
        assert self.ledger.partitions[A].held() == len(held)


TestLedgerAgainstABook = LedgerAgainstABook.TestCase
