"""Typed record of avro/inbound.avsc; the meaning of each field stands there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .base import Record
from .vocabulary import Channel, KeywordIntent


@dataclass(slots=True, kw_only=True)
class InboundMedia(Record):
    """One attachment."""

    AVRO_NAME: ClassVar[str] = "commlayer.InboundMedia"

    url: str
    content_type: str | None = None


@dataclass(slots=True, kw_only=True)
class Inbound(Record):
    """A person wrote to us. Topics comms.inbound and comms.feedback.inbound; key: recipient."""

    AVRO_NAME: ClassVar[str] = "commlayer.Inbound"

    sid: str
    account_sid: str
    account: str | None = None
    recipient: str
    channel: Channel
    sender: str
    messaging_service_sid: str | None = None
    body: str
    media: list[InboundMedia] = field(default_factory=list)
    num_segments: int = 1
    keyword_intent: KeywordIntent | None = None
    keyword: str | None = None
    opt_out_type: str | None = None
    profile_name: str | None = None
    wa_id: str | None = None
    button_payload: str | None = None
    button_text: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    replied_to_sid: str | None = None
    idempotency_token: str | None = None
    received_at: int
    params: dict[str, str] = field(default_factory=dict)
    app: str | None = None
    in_reply_to: str | None = None
    campaign: str | None = None
