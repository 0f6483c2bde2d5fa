"""Slow lanes send at common moments, so that a process that waits for nothing but their pace wakes up seldom.

A process that sleeps between two messages pays for each several times what it costs in a row (measured: 1.9 ms of CPU
instead of 0.3). What is said here costs a lane no pace: the moments of equal rates are the same, and a lane that has
once come to one of them goes from one to the next, however many segments its messages have.
"""

from __future__ import annotations

import math

from .bucket import AHEAD_S, RESOLUTION_S

APART_S = 0.1
"""Between two moments, at most."""
PART = 0.1
"""Of the time between two messages of one segment, at most."""
WORTH_S = 0.02
"""Moments nearer to each other than this gather nobody: lanes of more than 5/s have none."""
BUNCH_S = 0.01
"""Who comes so late to a moment is sent in one go with the others."""
WAITS_PART = 0.005
"""Of its time a lane may spend waiting for company. Where more is sent at a moment than goes in one bunch, most lanes
come too late to the next one each time, and would wait for the one after it."""
EARLY_S = AHEAD_S + RESOLUTION_S
"""Who comes so little before a moment waits for it in any case: it was at the last one, and its pace lets it start a
little early."""


def apart_s(rate: float) -> float:
    """Seconds between two common moments of lanes of this rate (segments per second), a whole number of which lies
    between two of their messages; 0 where the lanes are too fast to have any."""
    period_s = 1.0 / rate
    apart = min(APART_S, period_s * PART)
    return period_s / math.ceil(period_s / apart - 1e-9) if apart >= WORTH_S else 0.0


class Company:
    """What one lane waits for others. All times are monotonic seconds."""

    __slots__ = ("_alone_until",)

    def __init__(self) -> None:
        self._alone_until = -math.inf

    def moment(self, due: float, rate: float, now: float) -> float:
        """When a message that may start at `due` is started. One that could have started long ago waits for nobody."""
        apart = apart_s(rate)
        if not apart or due <= now - apart:
            return due
        past = due % apart
        wait_s = apart - past
        if past <= BUNCH_S or (due < self._alone_until and wait_s > EARLY_S):
            return due
        return due + wait_s

    def started(self, due: float, now: float) -> None:
        """A message that was there and might have started at `due` was started now."""
        waited_s = min(now - due, APART_S)
        if waited_s > EARLY_S:
            self._alone_until = max(self._alone_until, now + waited_s / WAITS_PART)
