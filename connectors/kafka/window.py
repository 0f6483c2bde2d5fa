"""How many records of each partition may be fetched next.

A partition with as many unfinished records as its window is not read from; there is no pause and no resume, so there is
no such state to lose in a rebalance (Faust's own lets queue pressure undo a pause for good).
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass

from .ledger import Ledger, PartitionLedger
from .topic_partition import TP

DEFAULT_WINDOW = 1000
"""Unfinished records a partition may have where the stage says nothing."""

REFILL_SHARE = 4
"""A partition is read again when a quarter of its window is free: record by record a fetch would cost more than the
record (measured: 12 records a fetch, 10 % of all CPU). With 5 s of work in a window the rest lasts for long."""

MAX_HELD = 10_000
"""Delivered records above the committable offset. One record that takes long lets others finish behind it, and a crash
delivers all of those again; so many seconds of replay are acceptable, hours are not."""


@dataclass(frozen=True, slots=True)
class Windows:
    """The rule of one app.

    Attributes:
        window: unfinished records that a partition may have; called before every fetch, on the main loop.
        anchor: topic whose partition p must be held here for partition p of any other topic to be read. Faust keeps
            equal partitions of several topics together only while their counts and the subscriptions of all workers
            are equal, which is not so during a rolling change. None: all that is assigned is read.
        fair: most records of one partition in one fetch, so that a full one does not take it all.
    """

    window: Callable[[TP], int]
    anchor: str | None = None
    fair: int = 100

    def served(self, tp: TP, assigned: Container[TP]) -> bool:
        """The partition is among the assigned ones, and so is its anchor."""
        return tp in assigned and (
            self.anchor is None or tp.topic == self.anchor or TP(self.anchor, tp.partition) in assigned
        )

    def of_served(self, ledger: Ledger) -> list[tuple[TP, PartitionLedger]]:
        """The ledgers of the partitions that are read in this generation. They stay the same all through it, which
        spares `rooms` most of its work: it is asked before every fetch, and there may be hundreds of partitions."""
        assigned = ledger.partitions
        return [(tp, partition) for tp, partition in assigned.items() if self.served(tp, assigned)]

    def rooms(self, served: Iterable[tuple[TP, PartitionLedger]]) -> dict[TP, int]:
        """Records that may be taken of each partition in the next fetch; partitions without room, or with too little to
        be worth a fetch, are absent."""
        rooms = {}
        for tp, partition in served:
            window = self.window(tp)
            room = min(window - partition.outstanding(), MAX_HELD - partition.held(), self.fair)
            if room > 0 and room >= min(window, self.fair) // REFILL_SHARE:
                rooms[tp] = room
        return rooms
