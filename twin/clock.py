"""What time it is for the twin: the machine's time, or a virtual one that only moves when told.

Everything of the twin that waits (queues, schedules, delivery reports) waits on its clock. Network time-outs of
webhooks do not: the other end lives in real time.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Any, Protocol


class Timer(Protocol):
    """A call that is due later."""

    def cancel(self) -> None:
        """Forget it; harmless when it already ran."""


class Clock(Protocol):
    """The twin's time, in seconds since the epoch."""

    virtual: bool

    def now(self) -> float:
        """The time now."""

    def call_at(self, when: float, action: Callable[..., None], *args: Any) -> Timer:
        """Call `action(*args)` at `when`, or as soon as possible when that has passed."""


class RealClock:
    """The machine's time, read once and then carried on by the monotonic clock, so that it never jumps.

    Args:
        skew_s: how far the twin's clock is ahead of the machine's.
    """

    virtual = False

    def __init__(self, *, skew_s: float = 0.0) -> None:
        self._epoch = time.time() - time.monotonic() + skew_s

    def now(self) -> float:
        """The time now."""
        return self._epoch + time.monotonic()

    def call_at(self, when: float, action: Callable[..., None], *args: Any) -> Timer:
        """Call in the running loop at `when`."""
        return asyncio.get_running_loop().call_later(max(0.0, when - self.now()), action, *args)


class _VirtualTimer:
    __slots__ = ("action", "args", "cancelled")

    def __init__(self, action: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.action = action
        self.args = args
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class VirtualClock:
    """Time that stands still until `run_until` moves it; each due call sees exactly its own due time."""

    virtual = True

    def __init__(self, start: float) -> None:
        self._now = start
        self._heap: list[tuple[float, int, _VirtualTimer]] = []
        self._order = itertools.count()

    def now(self) -> float:
        """The virtual time."""
        return self._now

    def call_at(self, when: float, action: Callable[..., None], *args: Any) -> Timer:
        """Call when the time is moved to or past `when`; calls due at the same time run in the order they were set."""
        timer = _VirtualTimer(action, args)
        heapq.heappush(self._heap, (max(when, self._now), next(self._order), timer))
        return timer

    def run_until(self, target: float, *, limit: int = 1000) -> bool:
        """Run at most `limit` due calls up to `target`. When none is left, time becomes `target`: True."""
        heap = self._heap
        for _ in range(limit):
            if not heap or heap[0][0] > target:
                self._now = max(self._now, target)
                return True
            when, _, timer = heapq.heappop(heap)
            self._now = when
            if not timer.cancelled:
                timer.action(*timer.args)
        return False

    def next_due(self) -> float | None:
        """When the next call is due, or None."""
        while self._heap and self._heap[0][2].cancelled:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None
