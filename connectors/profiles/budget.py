"""A budget of requests: so many a second, evenly, and nobody waits for a place longer than it is worth."""

from __future__ import annotations


class Budget:
    """Places for requests, one after the other. Pure: the caller brings the clock.

    Args:
        per_s: places in a second.
        burst: places that may be taken at once after a rest.
    """

    __slots__ = ("_every_s", "_free_at", "_slack_s")

    def __init__(self, per_s: float, burst: int = 1) -> None:
        self._every_s = 1.0 / per_s
        self._slack_s = (burst - 1) * self._every_s
        self._free_at = float("-inf")

    def take(self, now: float, longest_s: float) -> float | None:
        """Take the next place.

        Args:
            now: monotonic seconds.
            longest_s: a place that is further away is not taken.

        Returns:
            seconds until the place; None when it would be too far away.
        """
        at = max(self._free_at, now - self._slack_s)
        wait_s = max(0.0, at - now)
        if wait_s > longest_s:
            return None
        self._free_at = at + self._every_s
        return wait_s

    def wait_s(self, now: float) -> float:
        """Seconds until the next place that is free."""
        return max(0.0, self._free_at - now)
