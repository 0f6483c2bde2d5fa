from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import SingleObjectCodec
from schemas.records import Callback, LifecycleEvent, MessageStatus, StatusUpdate
from streams.feedback.facts import Fact, fact_of
from streams.feedback.fold import MessageFold
from streams.feedback.memory import Memory, Message
from tests.streams.feedback.facts import accepted, admitted, callback

CODEC = SingleObjectCodec()
Said = LifecycleEvent | Callback


def read(value: bytes) -> Fact | None:
    if value == b"rubbish":
        return None
    record = CODEC.decode(value)
    assert isinstance(record, LifecycleEvent | Callback)
    return fact_of(record)


def memory(*, keep_ms: int = 1000, max_messages: int = 100, max_folded: int = 10) -> Memory:
    return Memory(read, keep_ms=keep_ms, max_messages=max_messages, max_folded=max_folded)


def add(remembered: Memory, record: Said, now_ms: int = 0) -> Message:
    return remembered.add(fact_of(record), CODEC.encode(record), now_ms)


def test_what_was_read_back_counts_as_published() -> None:
    remembered = memory()
    for record in (admitted(), callback("delivered", 50)):
        remembered.restore("m-1", CODEC.encode(record), 0, finished=True)
    remembered.restore("m-1", b"rubbish", 0, finished=True)
    known = add(remembered, callback("delivered", 60))
    assert known.published is not None
    assert known.published.status is MessageStatus.DELIVERED
    assert known.fold.update() == known.published, "a repeat changes nothing"
    assert known.tellable


def test_the_outcome_of_what_was_read_back_or_folded_anew_counts_as_counted() -> None:
    restored, remembered = memory(), memory(max_folded=1)
    for record in (admitted(), callback("sent", 40)):
        restored.restore("m-1", CODEC.encode(record), 0, finished=True)
        add(remembered, record)
    add(remembered, admitted(message_id="m-2"))
    for each in (restored, remembered):
        known = add(each, callback("undelivered", 60, error_code=30007))
        assert known.counted is not None
        assert known.counted.code is None
        assert known.fold.outcome() == replace(known.counted, code=30007)


def test_what_was_read_back_unfinished_is_known_but_told_again() -> None:
    remembered = memory()
    remembered.restore("m-1", CODEC.encode(admitted()), 0, finished=True)
    remembered.restore("m-1", CODEC.encode(callback("sent", 40)), 0, finished=False)
    remembered.restore("m-1", CODEC.encode(callback("delivered", 50)), 0, finished=False)
    known = add(remembered, callback("sent", 40))
    assert known.published is None
    assert known.fold.update().status is MessageStatus.DELIVERED, "what a former owner may have told is not taken back"


def test_a_message_whose_decision_is_unknown_here_cannot_be_told() -> None:
    assert not add(memory(), callback("sent", 9)).tellable


def test_a_message_read_back_from_the_edge_cannot_be_told() -> None:
    remembered = memory()
    remembered.restore("m-1", CODEC.encode(admitted()), 0, finished=True, cut=True)
    assert not add(remembered, callback("sent", 9)).tellable


def test_after_a_search_everything_can_be_told() -> None:
    remembered = memory()
    add(remembered, callback("sent", 90))
    before = [CODEC.encode(record) for record in (admitted(), callback("delivered", 50))]
    stranger = CODEC.encode(callback("failed", 1, message_id="m-2"))
    known = remembered.searched("m-1", [*before, stranger, b"rubbish"], 0)
    assert known.tellable
    assert known.published is None, "what was published of it is not known"
    assert known.fold.update().status is MessageStatus.DELIVERED
    assert len(remembered) == 1


def test_a_message_stays_searched_when_its_fold_is_put_away() -> None:
    remembered = memory(max_folded=1)
    add(remembered, callback("sent", 9))
    remembered.searched("m-1", [], 0)
    add(remembered, callback("sent", 9, message_id="m-2"))
    assert add(remembered, callback("delivered", 10)).tellable


def test_messages_silent_for_long_are_forgotten() -> None:
    remembered = memory(keep_ms=1000)
    add(remembered, admitted(message_id="old"), 0)
    add(remembered, admitted(message_id="young"), 500)
    add(remembered, callback("sent", 1, message_id="old"), 600)
    assert remembered.forget(1499) == 0
    assert remembered.forget(1500) == 1, "the young one was silent for longer"
    assert remembered.forget(1600) == 1
    assert not add(remembered, callback("sent", 1, message_id="old"), 1700).tellable


def test_what_is_too_much_is_forgotten_the_most_silent_first() -> None:
    remembered = memory(max_messages=3)
    for number in range(5):
        add(remembered, admitted(message_id=f"m-{number}"), number)
    assert remembered.forget(5) == 2
    assert add(remembered, callback("sent", 1, message_id="m-4"), 6).tellable
    assert not add(remembered, callback("sent", 1, message_id="m-0"), 6).tellable


words = st.sampled_from(["sent", "delivered", "failed", "read", "undelivered"])


@given(st.lists(st.tuples(st.sampled_from("abcd"), words, st.integers(0, 99)), max_size=30))
def test_putting_folds_away_and_making_them_again_changes_nothing(said: list[tuple[str, str, int]]) -> None:
    tight = memory(max_folded=1)
    folds: dict[str, MessageFold] = {}
    published: dict[str, StatusUpdate] = {}
    for name in "abcd":
        folds[name] = MessageFold(name)
        for record in (admitted(message_id=name), accepted(message_id=name)):
            folds[name].add(fact_of(record))
            known = add(tight, record)
            known.published = published[name] = known.fold.update()
    for name, word, at in said:
        later = callback(word, at, message_id=name)
        folds[name].add(fact_of(later))
        known = add(tight, later)
        assert known.published == published[name]
        known.published = published[name] = known.fold.update()
        assert published[name] == folds[name].update()
