"""Whether this process may still act for its partitions, or may have lost them without knowing.

The group gives a worker's partitions away when it has not heard from it for the session timeout. A process that was
paused learns that only some time after it wakes up (measured: 24 double POSTs in the first 117 ms), so everything that
another owner might do as well is allowed only while the lease is valid, and the lease ends first.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial

MAX_LOOP_LAG_S = 5.0
"""A main loop that has not turned for this long cannot be trusted to end a request in time either, and the lease counts
on that. Heartbeats come from another thread and say nothing about it."""


boot_time: Callable[[], float] = (
    partial(time.clock_gettime, time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic
)
"""Seconds since boot, time in suspend included where the system tells it: `time.monotonic` stands still there."""


class Lease:
    """Valid for `duration_s` after the *request* of the last heartbeat (or group join) that the broker confirmed.

    The request and not the answer: the session starts to run out at the broker some time between the two.
    A heartbeat that is answered "rebalance in progress" does not renew it: then the broker waits for the rebalance
    timeout, not the session's.

    `renew` and `lose` are called from the consumer's thread, the rest from the main loop.
    """

    def __init__(
        self, duration_s: float, *, max_loop_lag_s: float = MAX_LOOP_LAG_S, clock: Callable[[], float] = boot_time
    ) -> None:
        self._duration_s = duration_s
        self._max_loop_lag_s = max_loop_lag_s
        self._clock = clock
        self._renewed_at = -math.inf
        self._loop_turned_at = clock()

    def now(self) -> float:
        """The lease's clock; take it before a heartbeat is sent and give it to `renew` when it was confirmed."""
        return self._clock()

    def renew(self, requested_at: float) -> None:
        """The broker confirmed a request that was sent at `requested_at`. An older one changes nothing."""
        self._renewed_at = max(self._renewed_at, requested_at)

    def lose(self) -> None:
        """The broker said that this member is not one; or this process has let go."""
        self._renewed_at = -math.inf

    def loop_turned(self) -> None:
        """The main loop is alive; called by a task on it, several times within the maximum lag."""
        self._loop_turned_at = self._clock()

    def valid(self) -> bool:
        """Nobody else can own this worker's partitions yet, for at least one request timeout more."""
        now = self._clock()
        return now - self._renewed_at < self._duration_s and now - self._loop_turned_at < self._max_loop_lag_s

    def age_s(self) -> float:
        """Seconds since the last confirmed request; infinite before the first one."""
        return self._clock() - self._renewed_at
