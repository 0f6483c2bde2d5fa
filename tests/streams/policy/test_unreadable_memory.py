"""What is remembered cannot be read: one message or one person is concerned, and nothing gets through by it."""

from __future__ import annotations

from typing import Any

import pytest

from connectors.kafka.partitioning import partition_of
from schemas import ids
from schemas.reasons import Reason
from schemas.records import (
    Cancellation,
    Consent,
    ConsentChange,
    ConsentScope,
    ConsentSource,
    DeadLetter,
    Deferral,
    Dispatch,
    LifecycleEvent,
    MessageStatus,
    PolicyOpening,
    PolicyPerson,
    Stage,
)
from streams.policy.config import Cap
from streams.policy.memory import EntryUnreadable, Memory
from tests.streams.policy.installation import AMERICAN, HOUR, MINUTE, MOBILE, NOW, config, request
from tests.streams.policy.test_desk import CODEC, PARTITIONS, Counter, asked

HOME = partition_of(MOBILE.encode(), PARTITIONS)
GARBAGE = b"\xc3\x01 no record of ours"
OF_ANOTHER_KIND = CODEC.encode(PolicyOpening(at=NOW))
UNREADABLE = pytest.mark.parametrize("value", [GARBAGE, OF_ANOTHER_KIND], ids=["garbage", "another record"])
KEYED = ids.message_id_by_key("login", MOBILE, "k")


def remembering(suffix: bytes, value: bytes, **changes: Any) -> Counter:
    """A desk that remembers this value of the person."""
    counter = Counter(**changes)
    counter.state.entries[HOME] = {MOBILE.encode() + suffix: value}
    return counter


def told(counter: Counter) -> list[tuple[MessageStatus, str | None]]:
    return [(record.status, record.reason) for _, record in counter.written if isinstance(record, LifecycleEvent)]


@UNREADABLE
async def test_a_message_whose_last_decision_cannot_be_read_is_denied_as_it_may_have_been_sent(value: bytes) -> None:
    counter, event = remembering(b"\0d" + KEYED.encode(), value), asked(request(idempotency_key="k"))
    await counter.serve(event)
    assert told(counter) == [(MessageStatus.DENIED, Reason.INTERNAL_ERROR)]
    [letter] = [record for _, record in counter.written if isinstance(record, DeadLetter)]
    assert letter.message_id == KEYED
    assert "cannot be read" in letter.detail
    assert event.acked
    await counter.serve(asked(request(idempotency_key="another")))
    assert told(counter)[1:] == [(MessageStatus.ADMITTED, None)]


@UNREADABLE
async def test_a_message_that_comes_back_without_request_and_with_an_unreadable_decision_is_told_and_kept(
    value: bytes,
) -> None:
    counter = remembering(b"\0dm-7", value)
    back = Deferral(message_id="m-7", round=1, app="login", due_at=NOW, reason="r", by=Stage.FEEDBACK, at=NOW - MINUTE)
    event = asked(back, topic="comms.deferred.1s", key=MOBILE.encode())
    await counter.serve(event)
    assert told(counter) == [(MessageStatus.DENIED, Reason.INVALID_FIELD)]
    assert event.acked


@UNREADABLE
async def test_a_decision_that_cannot_be_read_counts_for_no_cap_and_stops_nobody_else(value: bytes) -> None:
    capped = config(caps=(Cap(name="codes", categories=frozenset({"otp"}), window_ms=HOUR, at_most=1),))
    counter = remembering(b"\0dm-7", value, configured=capped)
    await counter.serve(asked(request()))
    assert told(counter) == [(MessageStatus.ADMITTED, None)]


@pytest.mark.parametrize(
    "value",
    [
        GARBAGE,
        OF_ANOTHER_KIND,
        CODEC.encode(PolicyPerson(ledger=b"nonsense")),
        CODEC.encode(PolicyPerson(ledger=b"[1,2]")),
        CODEC.encode(PolicyPerson(ledger=b"[1,0,null,[[9,9,9,9,9,9,9]]]")),
    ],
    ids=["garbage", "another record", "no ledger", "half a ledger", "a ledger of nothing known"],
)
async def test_who_cannot_be_read_has_opted_out_until_an_operator_says_otherwise(value: bytes) -> None:
    counter = remembering(b"\0p", value)
    await counter.serve(asked(request()))
    by_keyword = _opts_in(ConsentSource.KEYWORD)
    await counter.serve(asked(by_keyword, topic="comms.consent", offset=7))
    await counter.serve(asked(request(), offset=43))
    await counter.serve(asked(_opts_in(ConsentSource.OPERATOR), topic="comms.consent", offset=8))
    await counter.serve(asked(request(), offset=44))
    denied = (MessageStatus.DENIED, Reason.OPTED_OUT)
    assert told(counter) == [denied, denied, (MessageStatus.ADMITTED, None)]


@UNREADABLE
async def test_a_cancellation_that_cannot_be_read_counts(value: bytes) -> None:
    counter = remembering(b"\0x" + KEYED.encode() + b"\0login", value)
    await counter.serve(asked(request(idempotency_key="k")))
    assert told(counter) == [(MessageStatus.CANCELED, Reason.CANCELED)]


@UNREADABLE
async def test_customer_data_that_cannot_be_read_is_as_if_there_were_none(value: bytes) -> None:
    counter = remembering(b"\0f", value)
    await counter.serve(asked(request()))
    assert [record.body for _, record in counter.written if isinstance(record, Dispatch)] == ["Your code is 123456"]


def test_first_words_that_cannot_be_read_are_passed_over() -> None:
    counter = Counter()
    counter.state.entries[0] = {
        b"opened\0wa\0" + MOBILE.encode(): GARBAGE,
        b"opened\0wa": OF_ANOTHER_KIND,
        b"opened\0wa\0" + AMERICAN.encode(): OF_ANOTHER_KIND,
    }
    assert list(Memory(counter.state).openings(0)) == [("wa", AMERICAN, NOW)]


@pytest.mark.parametrize("kind", [b"d", b"x"])
def test_the_sweep_leaves_what_it_cannot_read(kind: bytes) -> None:
    memory = Memory(Counter().state)
    assert not memory.useless(MOBILE.encode() + b"\0" + kind + b"m-1", GARBAGE, NOW)
    assert not memory.useless(b"opened\0wa\0" + MOBILE.encode(), GARBAGE, NOW)


def test_the_error_names_no_value() -> None:
    counter = remembering(b"\0dm-7", b"\xc3\x01secret")
    with pytest.raises(EntryUnreadable) as raised:
        Memory(counter.state).decision(HOME, MOBILE, "m-7")
    assert "secret" not in str(raised.value)


async def test_a_readable_cancellation_is_its_apps_alone() -> None:
    memory = Memory(Counter().state)
    for app in ("login", "other"):
        taken_back = Cancellation(recipient=MOBILE, message_id="m-7", app=app, requested_at=NOW)
        await memory.keep_cancellation(HOME, taken_back)
    assert memory.is_cancelled(HOME, MOBILE, "m-7", "login")
    assert not memory.is_cancelled(HOME, MOBILE, "m-7", "shop")


def _opts_in(source: ConsentSource) -> Consent:
    return Consent(
        consent_id=source.value,
        recipient=MOBILE,
        scope=ConsentScope.ALL,
        change=ConsentChange.OPT_IN,
        source=source,
        at=NOW,
    )
