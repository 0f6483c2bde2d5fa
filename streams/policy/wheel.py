"""The deferral wheel: which tier a message waits in next, and what a worker holds until it is due.

Every record of a tier waits the tier's time from its append, so a partition is in due order and its head may be held
unfinished: the delivery window stops the fetch behind it. A long wait is a few hops; the last one is at most a second
long, so that a message is late by no more than that.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from schemas.topics import DEFERRAL_TIERS_MS, deferral_topic
from streams.rounds import URGENT_HEADER

_LONGEST_FIRST = tuple(sorted(DEFERRAL_TIERS_MS.items(), key=lambda tier: -tier[1]))
_SHORTEST, SHORTEST_MS = _LONGEST_FIRST[-1]

TIER_OF_TOPIC = {deferral_topic(tier): wait_ms for tier, wait_ms in DEFERRAL_TIERS_MS.items()}
"""Time that a record waits in each topic of the wheel, milliseconds."""


def is_urgent(message: Any) -> bool:
    """Whether a record of the wheel is of a critical message."""
    return any(name == URGENT_HEADER for name, _ in message.headers or ())


COMES_AGAIN_HEADER = "commlayer-comes-again"
"""On a record that went round because too many of its person's waited: when it may take its turn, epoch milliseconds
UTC. What it waited for before stands in the record."""


def comes_again_at(message: Any) -> int:
    """When a record of the wheel may take its turn, epoch milliseconds UTC; 0 where nothing put it off."""
    for name, value in message.headers or ():
        if name == COMES_AGAIN_HEADER and value is not None and value.isdigit():
            return int(value)
    return 0


def tier_for(remaining_ms: int) -> str:
    """The tier for a message that is due in `remaining_ms`: the longest that does not overshoot, else the shortest."""
    for tier, wait_ms in _LONGEST_FIRST:
        if wait_ms <= remaining_ms:
            return tier
    return _SHORTEST


def let_go_at(written_at: int, tier_ms: int, now_ms: int) -> int:
    """When a record of a tier has waited its time, epoch milliseconds UTC: never later than that time from now, however
    far ahead the clock of whoever wrote it was."""
    return min(written_at, now_ms) + tier_ms


T = TypeVar("T")


class Waiting(Generic[T]):
    """What is held until its moment. Not thread-safe; the caller brings the clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, T]] = []
        self._order = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, ready_at: int, item: T) -> None:
        """Hold the item until `ready_at`, epoch milliseconds UTC."""
        heapq.heappush(self._heap, (ready_at, next(self._order), item))

    def due(self, now_ms: int) -> Iterator[T]:
        """Let go of what is due, the longest due first, in order of arrival where the moment is the same."""
        while self._heap and self._heap[0][0] <= now_ms:
            yield heapq.heappop(self._heap)[2]

    def next_at(self) -> int | None:
        """When the next item is due, epoch milliseconds UTC; None when nothing is held."""
        return self._heap[0][0] if self._heap else None

    def drop(self, unwanted: Callable[[T], bool]) -> None:
        """Forget the items for which this is true (their partition went to another worker)."""
        self._heap = [entry for entry in self._heap if not unwanted(entry[2])]
        heapq.heapify(self._heap)
