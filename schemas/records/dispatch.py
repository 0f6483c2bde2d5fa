"""Typed record of avro/dispatch.avsc; the meaning of each field stands there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .base import Record
from .vocabulary import Channel, DoubtPolicy, Encoding, MessageClass


@dataclass(slots=True, kw_only=True)
class Dispatch(Record):
    """An admitted message: everything that dispatch needs to send it. Topics comms.dispatch.<class>; explicit
    partition of the lane's pacing group."""

    AVRO_NAME: ClassVar[str] = "commlayer.Dispatch"

    message_id: str
    round: int
    app: str
    recipient: str
    recipient_id: str | None = None
    channel: Channel
    category: str
    message_class: MessageClass
    account: str
    lane: str
    group: str
    sender: str | None = None
    messaging_service_sid: str | None = None
    body: str | None = None
    media_urls: list[str] = field(default_factory=list)
    content_sid: str | None = None
    content_variables: dict[str, str] = field(default_factory=dict)
    segments: int
    encoding: Encoding
    requested_at: int
    decided_at: int
    deadline: int
    allowed_until: int | None = None
    consent_partition: int | None = None
    consent_position: int | None = None
    again: bool = False
    doubt_policy: DoubtPolicy
    rule_version: str
    locale: str | None = None
    campaign: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    correlation_id: str | None = None
    in_reply_to: str | None = None
    fallback_channels: list[Channel] = field(default_factory=list)
    message_intent: str | None = None
    shorten_urls: bool | None = None
    smart_encoding: bool | None = None
    validity_period_s: int | None = None
    traceparent: str | None = None
    carrier: str | None = None
