"""Which partitions are served: those whose changes of consent were folded in as far as they stood at the assignment.

An opt-out older than what dispatch still holds is known to policy alone. A policy that begins anew, or whose group has
fallen behind, must not decide before it has read it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from connectors.health import Health

T = TypeVar("T")


class Doors(Generic[T]):
    """A door for each partition, and what waits behind those that are closed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: dict[int, int] = {}
        self._waiting: dict[int, list[T]] = {}
        self._closed_at = clock()

    @property
    def closed(self) -> Mapping[int, int]:
        """Closed partitions, each with the offset of comms.consent up to which it must be folded first. A copy."""
        return dict(self._ends)

    def close(self, ends: Mapping[int, int]) -> None:
        """Close these partitions, each until its offset is reached; forget what waits."""
        self._ends = dict(ends)
        self._waiting = {home: [] for home in ends}
        self._closed_at = self._clock()

    def may_enter(self, home: int, item: T) -> bool:
        """Whether the item may be served now; otherwise it waits, and `open` gives it out."""
        if home not in self._ends:
            return True
        self._waiting[home].append(item)
        return False

    def open(self, home: int) -> list[T]:
        """Open a door. Returns what waited, in the order in which it came."""
        self._ends.pop(home, None)
        return self._waiting.pop(home, [])

    def health(self) -> Health:
        """For the readiness check."""
        if not self._ends:
            return Health(True)
        for_s = self._clock() - self._closed_at
        return Health(False, f"consent is being read in {len(self._ends)} partitions for {for_s:.0f} s")
