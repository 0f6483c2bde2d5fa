"""Typed record of avro/dead_letter.avsc; the meaning of each field stands there."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar

from .base import Record
from .vocabulary import Stage


@dataclass(slots=True, kw_only=True)
class DeadLetter(Record):
    """A record that could not be used, whole, with the reason. Topic comms.dead; key: key of the source
    record."""

    AVRO_NAME: ClassVar[str] = "commlayer.DeadLetter"

    stage: Stage
    reason: str
    field: str | None = None
    detail: str
    fix: str | None = None
    source_topic: str
    source_partition: int
    source_offset: int
    source_timestamp: int | None = None
    key: bytes | None = None
    value: bytes | None = None
    value_size: int
    headers: dict[str, bytes] = dataclasses.field(default_factory=dict)
    app: str | None = None
    message_id: str | None = None
    schema_id: int | None = None
    at: int
    replayable: bool = False
