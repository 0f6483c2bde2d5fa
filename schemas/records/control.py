"""Typed record of avro/control.avsc; the meaning of each field stands there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .base import Record
from .vocabulary import ControlAction, ControlSubject


@dataclass(slots=True, kw_only=True)
class Control(Record):
    """A switch of a lane, pacing group, account or app, how far a lane is behind, that its messages fail, or what a
    carrier takes of a brand a day (subject `budget@carrier`). Topic comms.control (compacted); key:
    subject_kind:subject for a pause, with :rate, :trouble, :place, :backlog, :health, :count or :day at its end for
    those, so that none ends another."""

    AVRO_NAME: ClassVar[str] = "commlayer.Control"

    subject_kind: ControlSubject
    subject: str
    action: ControlAction
    rate: float | None = None
    from_partition: int | None = None
    to_partition: int | None = None
    reason: str | None = None
    error_code: int | None = None
    fix: str | None = None
    by: str
    at: int
    until: int | None = None
    eta_s: dict[str, float] | None = None
    used: int | None = None
    position: int | None = None
