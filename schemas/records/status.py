"""Typed record of avro/status_update.avsc; the meaning of each field stands there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .base import Record
from .vocabulary import Channel, MessageClass, MessageStatus


@dataclass(slots=True, kw_only=True)
class StatusUpdate(Record):
    """The state of a message as the company sees it. Topic comms.feedback.status; key: message_id. Each update
    replaces the one before."""

    AVRO_NAME: ClassVar[str] = "commlayer.StatusUpdate"

    message_id: str
    app: str
    status: MessageStatus
    is_final: bool
    round: int
    attempts: int = 0
    recipient: str | None = None
    recipient_id: str | None = None
    channel: Channel | None = None
    category: str | None = None
    message_class: MessageClass | None = None
    lane: str | None = None
    account: str | None = None
    sender: str | None = None
    reason: str | None = None
    detail: str | None = None
    sid: str | None = None
    error_code: int | None = None
    error_class: str | None = None
    segments: int | None = None
    price: str | None = None
    price_unit: str | None = None
    campaign: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    correlation_id: str | None = None
    idempotency_key: str | None = None
    requested_at: int | None = None
    admitted_at: int | None = None
    accepted_at: int | None = None
    sent_at: int | None = None
    delivered_at: int | None = None
    read_at: int | None = None
    updated_at: int
