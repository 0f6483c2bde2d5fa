"""Typed record of avro/callback.avsc; the meaning of each field stands there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .base import Record
from .vocabulary import CallbackSource, Channel


@dataclass(slots=True, kw_only=True)
class Callback(Record):
    """What Twilio told the bridge about an outbound message. Topic comms.lifecycle; key: message_id."""

    AVRO_NAME: ClassVar[str] = "commlayer.Callback"

    message_id: str
    round: int = 0
    attempt: int | None = None
    source: CallbackSource
    sid: str
    account_sid: str
    status: str
    error_code: int | None = None
    error_message: str | None = None
    sender: str | None = None
    recipient: str | None = None
    channel: Channel | None = None
    messaging_service_sid: str | None = None
    raw_dlr_done_date: str | None = None
    num_segments: int | None = None
    price: str | None = None
    price_unit: str | None = None
    idempotency_token: str | None = None
    received_at: int
    params: dict[str, str] = field(default_factory=dict)
