"""Typed record of avro/message_request.avsc; the meaning of each field stands there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .base import Record
from .vocabulary import Channel


@dataclass(slots=True, kw_only=True)
class Content(Record):
    """What to say. Exactly one of: body and/or media_urls; template; content_sid."""

    AVRO_NAME: ClassVar[str] = "commlayer.Content"

    body: str | None = None
    media_urls: list[str] = field(default_factory=list)
    template: str | None = None
    template_version: str | None = None
    content_sid: str | None = None
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class MessageRequest(Record):
    """An application asks for one message to one person. Topics comms.requests.<app>[.urgent]; key:
    recipient."""

    AVRO_NAME: ClassVar[str] = "commlayer.MessageRequest"

    recipient: str
    category: str
    content: Content
    channel: Channel = Channel.SMS
    idempotency_key: str | None = None
    recipient_id: str | None = None
    sender: str | None = None
    pool: str | None = None
    not_before: int | None = None
    deadline: int | None = None
    locale: str | None = None
    campaign: str | None = None
    tags: dict[str, str] = field(default_factory=dict)
    correlation_id: str | None = None
    in_reply_to: str | None = None
    fallback_channels: list[Channel] = field(default_factory=list)
    shorten_urls: bool | None = None
    smart_encoding: bool | None = None
    validity_period_s: int | None = None
    created_at: int
