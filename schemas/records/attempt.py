"""Typed record of avro/attempt.avsc; the meaning of each field stands there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Record
from .vocabulary import AttemptKind, AttemptOutcome, Follows


@dataclass(slots=True, kw_only=True)
class Attempt(Record):
    """Write-ahead record of one POST: INTENT before it, RESULT after it. Topic comms.attempts, same partition
    as the dispatch record."""

    AVRO_NAME: ClassVar[str] = "commlayer.Attempt"

    kind: AttemptKind
    message_id: str
    round: int
    attempt: int
    source_topic: str
    source_offset: int
    at: int
    lane: str
    account: str
    recipient: str
    segments: int
    owner: str
    outcome: AttemptOutcome | None = None
    follows: Follows | None = None
    follows_at: int | None = None
    reason: str | None = None
    error_class: str | None = None
    error_code: int | None = None
    error_message: str | None = None
    http_status: int | None = None
    sid: str | None = None
    status: str | None = None
    request_id: str | None = None
    twilio_date: int | None = None
    final_status: str | None = None
    carrier: str | None = None
