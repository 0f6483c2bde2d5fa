"""Typed record of avro/customer_profile.avsc; the meaning of each field stands there."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from .base import Record
from .vocabulary import Channel


@dataclass(slots=True, kw_only=True)
class CustomerProfile(Record):
    """What customer data says of one person. Topic comms.profiles; key: recipient. The latest record is the whole
    profile; a null value forgets the person."""

    AVRO_NAME: ClassVar[str] = "commlayer.CustomerProfile"

    recipient: str
    customer_id: str | None = None
    time_zone: str | None = None
    state: str | None = None
    locale: str | None = None
    country: str | None = None
    preferred_channel: Channel | None = None
    carrier: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    updated_at: int
