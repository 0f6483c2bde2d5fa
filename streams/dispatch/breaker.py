"""Pause of a lane or account after trouble: open for a while, then one probe, then open again or closed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

FOREVER = float("inf")
_PASSED = 1e-9
"""Not closed, and nothing left to wait for."""


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from `first_s` to `cap_s`, each with ± `jitter` (a fraction), so that many do not return at
    once."""

    first_s: float
    cap_s: float
    jitter: float = 0.1

    def wait_s(self, times: int, random: Callable[[], float]) -> float:
        """Seconds to wait after the `times`-th trouble in a row (1 is the first). `random` returns 0..1."""
        wait = min(self.cap_s, self.first_s * 2.0 ** min(times - 1, 30))
        return wait * (1.0 + self.jitter * (2.0 * random() - 1.0))

    def times(self, waited_s: float) -> int:
        """After how many troubles in a row a wait is about so long."""
        times = 1
        while self.first_s * 2.0 ** (times - 1) < self.cap_s:
            if min(self.cap_s, self.first_s * 2.0**times) * (1.0 - self.jitter) > waited_s:
                break
            times += 1
        return times


class Breaker:
    """Closed: work flows. Open until a moment: nothing starts. After that moment half-open: one message at a time,
    until a success closes it or trouble opens it for longer.

    An operator's pause is kept apart: nothing here ends it.

    Attributes:
        open_until: monotonic seconds; 0 while closed.
        troubles: troubles in a row.
        why: reason of the last opening, for health and logs.
        paused: an operator (or a configuration) holds it.
    """

    __slots__ = ("_backoff", "_random", "open_until", "paused", "troubles", "why")

    def __init__(self, backoff: Backoff, random: Callable[[], float]) -> None:
        self._backoff = backoff
        self._random = random
        self.open_until = 0.0
        self.troubles = 0
        self.why = ""
        self.paused = False

    @property
    def closed(self) -> bool:
        """Whether work flows freely."""
        return self.open_until == 0.0 and not self.paused

    @property
    def opens_at(self) -> float:
        """When something may start again; in the past when it may at once."""
        return FOREVER if self.paused else self.open_until

    def trip(self, now: float, why: str, *, at_least_s: float = 0.0) -> float:
        """Trouble: open for the backoff's next wait. Returns the seconds. Trouble that comes while it is open (from
        messages that were under way) does not lengthen the wait."""
        if self.open_until > now:
            self.why = why
            self.open_until = max(self.open_until, now + at_least_s)
            return self.open_until - now
        self.troubles += 1
        self.why = why
        wait = max(at_least_s, self._backoff.wait_s(self.troubles, self._random))
        self.open_until = now + wait
        return wait

    def hold(self, until: float, waited_s: float, why: str) -> None:
        """Trouble that another process met: open until its next probe, and half-open where that has passed already.

        Args:
            until: monotonic seconds.
            waited_s: how long the other has decided to wait; further trouble waits longer.
            why: as for `trip`.
        """
        self.why = why
        self.open_until = max(self.open_until, until, _PASSED)
        self.troubles = max(self.troubles, self._backoff.times(waited_s))

    def success(self, now: float) -> bool:
        """Something worked. Closes it unless it is open now (an answer from before the trouble proves nothing).
        Returns whether it was closed by this."""
        if self.open_until == 0.0 or self.open_until > now:
            return False
        self.reset()
        return True

    def reset(self) -> None:
        """Close it and forget the troubles."""
        self.open_until = 0.0
        self.troubles = 0
        self.why = ""
