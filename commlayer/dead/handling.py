"""What an operator does with a letter, as records to write. Pure.

A replay comes before its mark: after a crash between the two the letter is still open, and a second replay asks for the
same message again, because the origin header keeps its id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectors.kafka.origin import rewritten_headers
from schemas import ids
from schemas.reasons import Reason
from schemas.records import (
    DeadLetter,
    Deferral,
    Dispatch,
    HandledLetter,
    LetterAction,
    LifecycleEvent,
    MessageClass,
    Record,
    Stage,
    StatusUpdate,
)
from schemas.topics import deferral_topic, dispatch_topic
from streams.rounds import request_of

from .letters import Letter, name_of

_ORDERS = frozenset(map(dispatch_topic, MessageClass))
_FIRST_TIER = "1s"
"""Where a message enters the wheel; it is due at once."""


class Refused(Exception):
    """A letter cannot be replayed. The text says why; `fix` what to do."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


@dataclass(slots=True)
class _Found:
    """The record as it was found, as far as the letter holds it."""

    topic: str
    partition: int
    offset: int
    timestamp: float | None
    key: bytes | None
    value: bytes | None
    headers: Any


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The record to write again; without `partition` the key decides."""

    topic: str
    partition: int | None
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


def check_replay(letter: Letter, *, force: bool) -> None:
    """Raise where a replay cannot help.

    Raises:
        Refused: the letter does not hold the whole record; or a new try would end as the last one did, unless `force`.
    """
    record = letter.record
    if letter.cut:
        raise Refused(
            f"the letter holds {letter.kept} of {record.value_size} bytes, or not the whole key",
            "ask the app to send it again, then drop the letter",
        )
    if not record.replayable and not force:
        raise Refused(
            f"the fault is in the record itself ({record.reason}): it would end here again",
            "ask the app to send it again and drop the letter; --force where you know better",
        )


def rewritten(record: DeadLetter) -> Rewritten:
    """The record as it was, to its own topic and partition. Its ids follow from where it was first written, which its
    headers tell."""
    found = _Found(
        record.source_topic,
        record.source_partition,
        record.source_offset,
        None if record.source_timestamp is None else record.source_timestamp / 1000,
        record.key,
        record.value,
        list(record.headers.items()),
    )
    return Rewritten(found.topic, found.partition, found.key, found.value, rewritten_headers(found))


def is_order(record: DeadLetter) -> bool:
    """It is a message on its way from policy to dispatch, which a replay must not send: see `asked_anew`."""
    return record.source_topic in _ORDERS


def asked_anew(
    record: DeadLetter, order: Record | None, encode: Callable[[Record], bytes], *, now_ms: int
) -> Rewritten:
    """What policy is asked in place of a dispatch record. The letter may be a month old, and dispatch knows of opt-outs
    and cancellations of the last four days alone: policy decides once more, with all it knows, in the next round.

    Args:
        order: what the letter's value says; None where it cannot be read yet.

    Raises:
        Refused: it is no dispatch record.
    """
    if not isinstance(order, Dispatch):
        raise Refused(
            "policy must be asked about a message that waited here, and this record cannot be read as one",
            "register its schema, or ask the app to send the message again and drop the letter",
        )
    deferral = Deferral(
        message_id=order.message_id,
        round=order.round + 1,
        app=order.app,
        due_at=now_ms,
        reason=Reason.REPLAYED.value,
        by=Stage.OPERATOR,
        request=request_of(order),
        deadline=order.deadline,
        at=now_ms,
    )
    headers = list(record.headers.items())
    return Rewritten(deferral_topic(_FIRST_TIER), None, order.recipient.encode(), encode(deferral), headers)


def mark(
    letter: Letter,
    action: LetterAction,
    *,
    by: str,
    reason: str | None,
    now_ms: int,
    written: tuple[int, int] | None = None,
) -> HandledLetter:
    """The record that names the letter as handled. `written`: partition and offset of the record written again."""
    record = letter.record
    return HandledLetter(
        source_topic=record.source_topic,
        source_partition=record.source_partition,
        source_offset=record.source_offset,
        action=action,
        by=by,
        reason=reason,
        new_partition=None if written is None else written[0],
        new_offset=None if written is None else written[1],
        at=now_ms,
    )


def told(handled: HandledLetter, now: StatusUpdate) -> LifecycleEvent:
    """The step in the message's story. It states the status that the message has and so changes none: what follows from
    a replay is for the stages to say."""
    name = name_of(handled)
    why = f": {handled.reason}" if handled.reason else ""
    step = f"{handled.action.value} {name} {handled.at}"  # one letter may be replayed twice
    return LifecycleEvent(
        event_id=ids.lifecycle_event_id(now.message_id, now.round, None, Stage.OPERATOR, step),
        message_id=now.message_id,
        round=now.round,
        stage=Stage.OPERATOR,
        status=now.status,
        at=handled.at,
        app=now.app,
        reason=(Reason.REPLAYED if handled.action is LetterAction.REPLAYED else Reason.DROPPED).value,
        detail=f"{handled.action.value} by {handled.by}{why}",
        source_topic=handled.source_topic,
        source_partition=handled.source_partition,
        source_offset=handled.source_offset,
    )
