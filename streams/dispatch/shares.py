"""Which class goes next: strict order, with a guaranteed share for backlogged lower classes."""

from __future__ import annotations

from collections.abc import Sequence

from schemas.records import MessageClass

CLASSES: tuple[MessageClass, ...] = tuple(MessageClass)
"""In the order of service; a class's position here is its rank."""
CRITICAL = 0
"""Rank of the critical class."""
DEFAULT_SHARES: tuple[float, ...] = (0.0, 0.1, 0.1, 0.1)
"""Share of the throughput that a class keeps while it is backlogged, by rank. Critical needs none: it comes first."""
AGED_FACTOR = 2.0
"""A class whose head has waited too long earns its share this many times as fast, never at the cost of critical."""

_ROUNDING = 1e-9
"""Ten times a tenth is a little less than one in floating point."""


class ClassShares:
    """Strict order by rank; but each backlogged lower class earns its share of everything served, and is served first
    once it has earned its next message. What it has earned is kept as a deficit of at most one message, so that a
    class that was served well has no claim against a critical message that arrives later.
    """

    __slots__ = ("owed", "shares")

    def __init__(self, shares: Sequence[float] = DEFAULT_SHARES) -> None:
        self.shares = shares
        self.owed = [0.0] * len(CLASSES)

    def choose(self, heads: Sequence[int], margin: float = 0.0) -> int | None:
        """Rank of the class to serve.

        Args:
            heads: cost of each class's next message by rank, 0 where there is none.
            margin: cost that will be served before the choice takes effect: a class counts as owed that much earlier.
        """
        for rank, head in enumerate(heads):
            if rank and head and self.is_owed(rank, head, margin):
                return rank
        for rank, head in enumerate(heads):
            if head:
                return rank
        return None

    def is_owed(self, rank: int, head: int, margin: float = 0.0) -> bool:
        """Whether a class has earned its next message, whose cost is `head`."""
        return self.owed[rank] > 0.0 and self.owed[rank] + self.shares[rank] * margin >= head - _ROUNDING

    def served(self, rank: int, cost: int, heads: Sequence[int], aged: Sequence[bool] = ()) -> None:
        """A message was served.

        Args:
            rank: its class.
            cost: its cost (segments in a lane, 1 in an account's slots).
            heads: as for `choose`, before the message was taken out.
            aged: by rank, whether the class's head has waited too long.
        """
        owed = self.owed
        largest = max(heads)
        for other in range(1, len(owed)):
            if not heads[other]:
                owed[other] = 0.0
                continue
            share = self.shares[other]
            if other == rank:
                owed[other] = max(0.0, owed[other] + share * cost - cost)
                continue
            if rank != CRITICAL and aged and aged[other]:
                share *= AGED_FACTOR
            # Beyond the one message only what was earned while it waited for its turn is kept.
            owed[other] = min(owed[other] + share * cost, float(heads[other] + largest))
