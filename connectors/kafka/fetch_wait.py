"""How long a broker may keep a fetch that brings nothing.

A record that comes ends the wait, so the wait costs no record time. But the client has one fetch under way per broker,
and what a partition's last one brought keeps the partition out of the next: when that is used up, the fetch under way
must end first. So waits are short while partitions use up quickly what comes for them, and long otherwise: an empty
answer that names 250 partitions costs 5 ms of CPU.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

TAKEN_WITHIN_S = 1.0
"""What came so lately is probably about to be taken, however late the process is, and its partition is not part of the
fetch that is sent meanwhile: a message that comes there next must not wait long."""

QUICK_S = 10.0
"""A partition that used up in less what one fetch brought is busy, and would notice half a second. One that took
longer has work for longer than that: its window was full all the while."""

CALM_AFTER_S = 2.0
"""Since a busy partition was last kept waiting. The next one must not be the first of many."""


class FetchWait:
    """One client's. All methods belong to its event loop.

    Args:
        short_ms, long_ms: the two waits, milliseconds.
        in_time_s: what is used up within this after it came misses no fetch: the next one is held up for so long.
    """

    def __init__(
        self, *, short_ms: int, long_ms: int, in_time_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._short_ms = short_ms
        self._long_ms = max(short_ms, long_ms)
        self._in_time_s = in_time_s
        self._clock = clock
        self._busy_until = float("-inf")
        self.hurry()

    def hurry(self) -> None:
        """Something may be about to come, as when reading begins."""
        self._busy_until = self._clock() + CALM_AFTER_S

    def used_up(self, came_at: float) -> None:
        """All that one fetch brought of a partition was taken; it came at this time on the clock."""
        if self._in_time_s < self._clock() - came_at < QUICK_S:
            self.hurry()

    def ms(self, came_at: Iterable[float] = ()) -> int:
        """The wait of a fetch that is sent now, milliseconds, without the partitions of which there is something that
        is not taken; it came at these times."""
        now = self._clock()
        busy = now < self._busy_until or now - max(came_at, default=float("-inf")) < TAKEN_WITHIN_S
        return self._short_ms if busy else self._long_ms
