"""Typed record of avro/deferral.avsc; the meaning of each field stands there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Record
from .request import MessageRequest
from .vocabulary import Stage


@dataclass(slots=True, kw_only=True)
class Deferral(Record):
    """A message that waits on the wheel for a later decision. Topics comms.deferred.<tier>; key: recipient."""

    AVRO_NAME: ClassVar[str] = "commlayer.Deferral"

    message_id: str
    round: int
    app: str
    due_at: int
    reason: str
    by: Stage
    request: MessageRequest | None = None
    origin: str | None = None
    deadline: int | None = None
    at: int
