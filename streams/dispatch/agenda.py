"""What the scheduler must look at again: at once, or at a moment."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from .account_state import AccountState
from .breaker import FOREVER
from .lane_state import LaneState
from .shared_budget import SharedBudget

Sleeper = LaneState | SharedBudget | AccountState


class Agenda:
    """Lanes to look at now, and when to wake what. Of several moments for one thing the earliest counts.

    Attributes:
        dirty: lanes to look at, each once.
    """

    __slots__ = ("_heap", "_sequence", "dirty")

    def __init__(self) -> None:
        self.dirty: list[LaneState] = []
        self._heap: list[tuple[float, int, Sleeper]] = []
        self._sequence = 0

    def mark(self, lane: LaneState) -> None:
        """Look at a lane at the next opportunity."""
        if not lane.dirty:
            lane.dirty = True
            self.dirty.append(lane)

    def take(self) -> LaneState:
        """One of the lanes to look at."""
        lane = self.dirty.pop()
        lane.dirty = False
        return lane

    def wake(self, what: Sleeper, at: float) -> None:
        """Look at something at a moment, if not sooner."""
        if at < what.wake_at and at < FOREVER:
            what.wake_at = at
            self._sequence += 1
            heapq.heappush(self._heap, (at, self._sequence, what))

    def due(self, now: float) -> Iterator[Sleeper]:
        """What is to be woken now, each once; the caller may `wake` meanwhile."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            at, _, what = heapq.heappop(heap)
            if at == what.wake_at:
                what.wake_at = FOREVER
                yield what

    def next_at(self) -> float:
        """The next moment; infinity when there is none."""
        heap = self._heap
        while heap and heap[0][0] != heap[0][2].wake_at:
            heapq.heappop(heap)
        return heap[0][0] if heap else FOREVER

    def clear(self) -> None:
        """Forget everything; the states forget their own part."""
        self._heap.clear()
        self.dirty.clear()
