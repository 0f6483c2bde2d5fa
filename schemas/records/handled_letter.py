"""Typed record of avro/handled_letter.avsc; the meaning of each field stands there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Record
from .vocabulary import LetterAction


@dataclass(slots=True, kw_only=True)
class HandledLetter(Record):
    """An operator replayed or dropped a dead letter. Topic comms.dead; key: that of the letter."""

    AVRO_NAME: ClassVar[str] = "commlayer.HandledLetter"

    source_topic: str
    source_partition: int
    source_offset: int
    action: LetterAction
    by: str
    reason: str | None = None
    new_partition: int | None = None
    new_offset: int | None = None
    at: int
