"""Brings what was acknowledged into the order of the log, without holes. Pure.

The store may reflect the log up to an offset only if everything before that offset was folded. So a record that was
acknowledged waits until all before it are there: our own by their acknowledgement, those of others by reading them.
"""

from __future__ import annotations

import heapq
from itertools import count
from typing import Generic, NamedTuple, TypeVar

T = TypeVar("T")


class Hole(NamedTuple):
    """Offsets that nobody told us of: from `start` up to, and without, `end`."""

    start: int
    end: int


class LogOrder(Generic[T]):
    """Records waiting for their turn.

    Args:
        position: offset of the next record to fold.
    """

    def __init__(self, position: int) -> None:
        self._position = position
        self._waiting: list[tuple[int, int, T]] = []
        self._numbers = count()

    def __len__(self) -> int:
        return len(self._waiting)

    def acknowledged(self, offset: int, record: T) -> None:
        """A record of ours lies at this offset."""
        heapq.heappush(self._waiting, (offset, next(self._numbers), record))

    def take(self) -> list[tuple[int, T]]:
        """Those that have their turn, in order; they count as folded from now on. One at an offset that was filled from
        the log already comes, too."""
        turn = []
        while self._waiting and self._waiting[0][0] <= self._position:
            offset, _, record = heapq.heappop(self._waiting)
            self._position = max(self._position, offset + 1)
            turn.append((offset, record))
        return turn

    def hole(self) -> Hole | None:
        """What has to be read before the next record has its turn."""
        if not self._waiting or self._waiting[0][0] <= self._position:
            return None
        return Hole(self._position, self._waiting[0][0])

    def filled(self, hole: Hole) -> None:
        """The hole was read to its end and folded."""
        self._position = max(self._position, hole.end)
