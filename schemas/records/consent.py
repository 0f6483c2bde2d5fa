"""Typed record of avro/consent.avsc; the meaning of each field stands there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Record
from .vocabulary import ConsentChange, ConsentScope, ConsentSource


@dataclass(slots=True, kw_only=True)
class Consent(Record):
    """One change of consent, opt-out or suppression. Topic comms.consent; key: recipient. Latest in a scope
    wins."""

    AVRO_NAME: ClassVar[str] = "commlayer.Consent"

    consent_id: str
    recipient: str
    change: ConsentChange
    scope: ConsentScope
    scope_value: str | None = None
    source: ConsentSource
    account: str | None = None
    evidence: str | None = None
    keyword: str | None = None
    actor: str | None = None
    reason: str | None = None
    error_code: int | None = None
    at: int
    expires_at: int | None = None
