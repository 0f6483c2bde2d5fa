"""What an operator does with a letter, as records to write. Pure.

A replay comes before its mark: after a crash between the two the letter is still open, and a second replay asks for the
same message again, because the origin header keeps its id.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from connectors.kafka.origin import rewritten_headers
from schemas import ids
from schemas.reasons import Reason
from schemas.records import DeadLetter, HandledLetter, LetterAction, LifecycleEvent, Stage, StatusUpdate

from .letters import Letter, name_of


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
    """The record to write again."""

    topic: str
    partition: int
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
        None,
        record.key,
        record.value,
        list(record.headers.items()),
    )
    return Rewritten(found.topic, found.partition, found.key, found.value, rewritten_headers(found))


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
