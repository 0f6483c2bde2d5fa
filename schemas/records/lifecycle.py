"""Typed record of avro/lifecycle_event.avsc; the meaning of each field stands there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .base import Record
from .vocabulary import Channel, MessageClass, MessageStatus, Stage


@dataclass(slots=True, kw_only=True)
class LifecycleEvent(Record):
    """One step of a message's story. Topic comms.lifecycle; key: message_id."""

    AVRO_NAME: ClassVar[str] = "commlayer.LifecycleEvent"

    event_id: str
    message_id: str
    round: int
    attempt: int | None = None
    stage: Stage
    status: MessageStatus
    at: int
    app: str
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
    rule: str | None = None
    rule_version: str | None = None
    facts: dict[str, str] = field(default_factory=dict)
    until: int | None = None
    sid: str | None = None
    error_code: int | None = None
    error_class: str | None = None
    segments: int | None = None
    requested_at: int | None = None
    deadline: int | None = None
    campaign: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    correlation_id: str | None = None
    idempotency_key: str | None = None
    source_topic: str | None = None
    source_partition: int | None = None
    source_offset: int | None = None
