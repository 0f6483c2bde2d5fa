"""The last look at a message, right before its POST: everything that may have changed since policy admitted it."""

from __future__ import annotations

from enum import Enum, auto

from schemas.reasons import Reason

from .changes import Changes
from .jobs import Job

INTENT_VALID_MS = 1_000
"""An INTENT is written at most this long before its POST: the debt that a successor reads from it is that exact."""


class Refusal(Enum):
    """Why a planned message does not start."""

    EXPIRED = auto()
    """Its deadline has passed: final."""
    WINDOW_CLOSED = auto()
    """Its recipient's quiet hours have begun: policy decides anew."""
    STALE = auto()
    """Its INTENT is too old: another attempt at once."""
    HELD = auto()
    """Its app was paused after it was planned: it waits here."""
    UNSEEN = auto()
    """It is not known whether the person has just opted out: another attempt a little later."""


def last_look(job: Job, now_ms: int, changes: Changes | None = None) -> Refusal | Reason | None:
    """None when the message may start at `now_ms` (epoch milliseconds); a `Reason` when it may never."""
    if job.deadline < now_ms:
        return Refusal.EXPIRED
    allowed_until = job.order.allowed_until
    if allowed_until is not None and allowed_until <= now_ms:
        return Refusal.WINDOW_CLOSED
    if changes is not None:
        against = changes.against(job.order, now_ms)
        if against is not None:
            return against
        if changes.waits(job.order):
            return Refusal.UNSEEN
    if job.intent_at and now_ms - job.intent_at > INTENT_VALID_MS:
        return Refusal.STALE
    return None
