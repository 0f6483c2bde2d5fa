"""What of comms.dead is open, and what a replay would write."""

from __future__ import annotations

from typing import Any

import pytest

from commlayer.dead.handling import Refused, asked_anew, check_replay, is_order, mark, rewritten, told
from commlayer.dead.letters import Filter, Letter, Letters, Place
from commlayer.dead.telling import value_of
from connectors.kafka.origin import ORIGIN_HEADER, ORIGIN_TIME_HEADER
from schemas.codec import SingleObjectCodec
from schemas.records import (
    Content,
    DeadLetter,
    Deferral,
    Dispatch,
    HandledLetter,
    LetterAction,
    LifecycleEvent,
    MessageRequest,
    MessageStatus,
    Record,
    Stage,
)
from streams.feedback.facts import fact_of
from streams.feedback.fold import MessageFold
from streams.policy.decide import decide
from streams.policy.verdict import Admitted
from streams.rounds import request_of
from tests.streams.policy.installation import NOW, config, entry, request

CODEC = SingleObjectCodec()
TOPIC = "comms.requests.shop"


def dead(offset: int = 7, **changes: Any) -> DeadLetter:
    values: dict[str, Any] = {
        "stage": Stage.POLICY,
        "reason": "unknown_schema",
        "detail": "schema 9 is not registered",
        "source_topic": TOPIC,
        "source_partition": 1,
        "source_offset": offset,
        "key": b"+14155550123",
        "value": b"bytes",
        "value_size": 5,
        "headers": {"a": b"1"},
        "app": "shop",
        "at": 1000,
        "replayable": True,
    }
    return DeadLetter(**(values | changes))


def read(*records: DeadLetter | HandledLetter) -> list[Letter]:
    letters = Letters()
    for offset, record in enumerate(records):
        letters.add(record, Place(0, offset))
    return list(letters)


def handled(letter: Letter, action: LetterAction = LetterAction.DROPPED, at: int = 2000) -> HandledLetter:
    return mark(letter, action, by="ann", reason=None, now_ms=at)


def _order() -> Dispatch:
    made = decide(request(campaign="autumn"), entry(round=1), config(), NOW)
    assert isinstance(made, Admitted)
    return made.dispatch


def test_letters_of_two_stages_and_of_a_crash_are_one() -> None:
    [letter] = read(dead(), dead(stage=Stage.DISPATCH), dead(at=1001))
    assert (letter.name, letter.times, letter.stages) == (f"{TOPIC}:1:7", 3, ("policy", "dispatch"))
    assert letter.place == Place(0, 2)
    assert letter.record.value is None


def test_a_handled_letter_is_not_open_even_when_it_is_written_again() -> None:
    [letter] = read(dead())
    mixed = read(handled(letter), dead(), dead(8), dead())
    assert [each.record.source_offset for each in mixed if Filter().takes(each)] == [8]
    assert len([each for each in mixed if Filter(handled=True).takes(each)]) == 2


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("stage", "policy", "feedback"),
        ("reason", "unknown_schema", "oversized"),
        ("app", "shop", "login"),
        ("topic", TOPIC, "comms.inbound"),
        ("since_ms", 1000, 1001),
    ],
)
def test_each_filter_takes_what_fits_alone(name: str, right: object, wrong: object) -> None:
    [letter] = read(dead())
    assert Filter(**{name: right}).takes(letter)  # type: ignore[arg-type]  # by name
    assert not Filter(**{name: wrong}).takes(letter)  # type: ignore[arg-type]  # by name


def test_a_cut_letter_is_never_replayed() -> None:
    for cut in (dead(value_size=6), dead(key=b"k" * 4096)):
        [letter] = read(cut)
        with pytest.raises(Refused):
            check_replay(letter, force=True)


def test_what_is_at_fault_itself_is_replayed_by_force_alone() -> None:
    [letter] = read(dead(replayable=False))
    with pytest.raises(Refused):
        check_replay(letter, force=False)
    check_replay(letter, force=True)


def test_a_replay_names_where_the_record_was_first_written() -> None:
    again = rewritten(dead())
    assert (again.topic, again.partition, again.key, again.value) == (TOPIC, 1, b"+14155550123", b"bytes")
    assert again.headers == [("a", b"1"), (ORIGIN_HEADER, f"{TOPIC}:1:7".encode())]
    earlier = rewritten(dead(headers={ORIGIN_HEADER: f"{TOPIC}:0:3".encode()}))
    assert earlier.headers == [(ORIGIN_HEADER, f"{TOPIC}:0:3".encode())]
    assert rewritten(dead(source_timestamp=1234)).headers[-1] == (ORIGIN_TIME_HEADER, b"1234")


def test_a_message_on_its_way_to_dispatch_is_not_sent_by_a_replay_but_asked_of_policy_anew() -> None:
    order = _order()
    letter = dead(source_topic="comms.dispatch.critical", value=CODEC.encode(order), key=b"m-1")
    assert is_order(letter)
    again = asked_anew(letter, order, CODEC.encode, now_ms=NOW)
    assert (again.topic, again.partition, again.key) == ("comms.deferred.1s", None, order.recipient.encode())
    assert again.headers == [("a", b"1")]
    deferral = CODEC.decode(again.value or b"")
    assert isinstance(deferral, Deferral)
    assert (deferral.message_id, deferral.round, deferral.due_at, deferral.deadline) == ("m-1", 2, NOW, order.deadline)
    assert deferral.request == request_of(order)
    assert not is_order(dead())


@pytest.mark.parametrize("value", [None, dead()], ids=["cannot be read", "another record"])
def test_what_policy_could_not_be_asked_about_is_not_replayed_to_dispatch(value: Record | None) -> None:
    with pytest.raises(Refused, match="cannot be read"):
        asked_anew(dead(source_topic="comms.dispatch.bulk"), value, CODEC.encode, now_ms=NOW)


def test_the_step_in_the_story_changes_no_status() -> None:
    for status in MessageStatus:
        fold = MessageFold("m")
        event = LifecycleEvent(
            event_id="e", message_id="m", round=1, stage=Stage.POLICY, status=status, at=5, app="shop", reason="caps"
        )
        fold.add(fact_of(event))
        before = fold.update()
        [letter] = read(dead(message_id="m"))
        assert not fold.add(fact_of(told(handled(letter), before)))
        assert fold.update() == before


def test_texts_and_numbers_of_a_value_are_shown_on_demand_alone() -> None:
    request = MessageRequest(
        recipient="+14155550123", category="otp", content=Content(body="your code is 4711"), created_at=1
    )
    hidden = str(value_of(b"x", request, whole=False))
    assert "4711" not in hidden
    assert "+14155550123" not in hidden
    assert "otp" in hidden
    assert "your code is 4711" in str(value_of(b"x", request, whole=True))
    assert value_of(b"rubbish", None, whole=False) == "7 bytes, not decoded"
