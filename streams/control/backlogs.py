"""How far the lanes are behind, as dispatch tells it on `comms.control`: pure.

A record says when what is admitted at its moment can leave the lane at the earliest, by class. That moment does not
move while dispatch is silent, so what readers believe of a backlog shrinks with time, as the backlog itself does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from schemas.records import Control, ControlAction, ControlSubject, MessageClass

from .switches import Aspect, control_key

KEPT_MS = 180_000
"""What was told so long ago says nothing any more: dispatch may be gone, and nobody knows what became of its queue."""
TOLERANCE_MS = 10_000
TOLERANCE = 0.2
"""Readers may be wrong by 10 s, or a fifth where that is more: a lane whose backlog grows to a day is told of some 50
times on the way."""


class Backlog(NamedTuple):
    """One lane.

    Attributes:
        free_at: before this moment nothing that is admitted now leaves the lane, by class; epoch milliseconds UTC. A
            class that is not named does not wait.
        until: it says nothing from this moment on.
    """

    free_at: Mapping[MessageClass, int]
    until: int

    def leaves_at(self, message_class: MessageClass, now_ms: int) -> int:
        """The earliest moment at which a message that is admitted now leaves."""
        return max(now_ms, self.free_at.get(message_class, 0)) if now_ms < self.until else now_ms


class Backlogs:
    """What is believed of the lanes: a fold of `comms.control`.

    Attributes:
        by_lane: replaced and never changed, so that whoever holds it needs no copy.
    """

    def __init__(self) -> None:
        self.by_lane: Mapping[str, Backlog] = {}

    def take(self, key: bytes, record: Control | None) -> None:
        """A record whose key is that of a backlog (`is_backlog`)."""
        lane = key.decode("utf-8", "replace").removeprefix(f"{ControlSubject.LANE.value}:")
        lane = lane.removesuffix(Aspect.BACKLOG.value)
        others = {name: each for name, each in self.by_lane.items() if name != lane}
        if record is not None and record.action is ControlAction.BACKLOG:
            others[lane] = _backlog(record)
        self.by_lane = others


def backlog(lane: str, eta_s: Mapping[MessageClass, float], *, by: str, at: int) -> Control:
    """The record that a lane is so far behind; that it is not behind, where no class has to wait for the tolerance."""
    told = {each.value: round(seconds, 1) for each, seconds in eta_s.items() if seconds > 0}
    waits = any(seconds * 1000 >= TOLERANCE_MS for seconds in told.values())
    return Control(
        subject_kind=ControlSubject.LANE,
        subject=lane,
        action=ControlAction.BACKLOG if waits else ControlAction.CLEAR,
        eta_s=told if waits else None,
        by=by,
        at=at,
        until=at + KEPT_MS if waits else None,
    )


def backlog_key(lane: str) -> bytes:
    """Key of such a record."""
    return control_key(ControlSubject.LANE, lane, Aspect.BACKLOG)


def is_news(believed: Backlog | None, eta_s: Mapping[MessageClass, float], now_ms: int) -> bool:
    """Whether readers must be told: they are wrong by more than the tolerance, or soon believe nothing."""
    for message_class in MessageClass:
        wait_ms = eta_s.get(message_class, 0.0) * 1000
        known_ms = 0 if believed is None else believed.leaves_at(message_class, now_ms) - now_ms
        if abs(wait_ms - known_ms) > max(TOLERANCE_MS, TOLERANCE * wait_ms):
            return True
        if known_ms > TOLERANCE_MS and believed is not None and believed.until - now_ms < KEPT_MS // 3:
            return True
    return False


def _backlog(record: Control) -> Backlog:
    classes = {each.value: each for each in MessageClass}
    free_at = {
        classes[name]: record.at + int(seconds * 1000)
        for name, seconds in (record.eta_s or {}).items()
        if name in classes
    }
    return Backlog(free_at, record.at if record.until is None else record.until)
