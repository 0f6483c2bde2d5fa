"""Typed record of avro/cancellation.avsc; the meaning of each field stands there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Record


@dataclass(slots=True, kw_only=True)
class Cancellation(Record):
    """An application takes a request back. On its request topic, and passed on to comms.cancellations once
    admitted; key: recipient."""

    AVRO_NAME: ClassVar[str] = "commlayer.Cancellation"

    recipient: str
    message_id: str | None = None
    idempotency_key: str | None = None
    app: str | None = None
    reason: str | None = None
    requested_at: int
