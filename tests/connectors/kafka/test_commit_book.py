"""Which commits are due."""

from connectors.kafka.commit_book import Commit, CommitBook
from connectors.kafka.ledger import Ledger
from connectors.kafka.topic_partition import TP

A, B = TP("a", 0), TP("b", 0)


def ledger_at(starts: dict[TP, int]) -> Ledger:
    ledger = Ledger()
    ledger.begin(1, starts)
    return ledger


def finish_next(ledger: Ledger, tp: TP) -> None:
    offset = ledger.committable(tp)
    ledger.deliver(tp, offset)
    ledger.finish(tp, offset, 1)


def test_a_partition_without_a_commit_is_due_where_reading_began() -> None:
    book = CommitBook()
    book.begin({A: Commit(5)})
    assert book.due(ledger_at({A: 5, B: 17}), None) == {B: Commit(17)}


def test_nothing_is_due_while_nothing_moves() -> None:
    book, ledger = CommitBook(), ledger_at({A: 5})
    book.begin({A: Commit(5, "an older note")})
    assert book.due(ledger, None) == {}


def test_a_finished_prefix_is_due_until_it_is_confirmed() -> None:
    book, ledger = CommitBook(), ledger_at({A: 5})
    book.begin({A: Commit(5)})
    finish_next(ledger, A)
    due = book.due(ledger, None)
    assert due == {A: Commit(6)}
    assert book.due(ledger, None) == due
    book.confirm(due)
    assert book.due(ledger, None) == {}


def test_offset_and_metadata_are_taken_together() -> None:
    book, ledger = CommitBook(), ledger_at({A: 5})
    book.begin({A: Commit(5, "@5")})
    finish_next(ledger, A)
    assert book.due(ledger, lambda tp, offset: f"@{offset}") == {A: Commit(6, "@6")}


def test_an_unchanged_offset_is_due_when_its_metadata_moved() -> None:
    book, ledger = CommitBook(), ledger_at({A: 5})
    book.begin({A: Commit(5, "100")})
    assert book.due(ledger, lambda tp, offset: "100") == {}
    assert book.due(ledger, lambda tp, offset: "250") == {A: Commit(5, "250")}


def test_a_position_moved_by_a_loss_is_due() -> None:
    book = CommitBook()
    book.begin({A: Commit(5)})
    assert book.due(ledger_at({A: 900}), None) == {A: Commit(900)}


def test_a_position_behind_the_commit_is_due_where_the_log_is_another_one() -> None:
    book = CommitBook()
    book.begin({A: Commit(900)})
    assert book.due(ledger_at({A: 0}), None) == {A: Commit(0)}
