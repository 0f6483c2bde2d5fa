"""How many records of each partition may be fetched next.

A partition with as many unfinished records as its window is not read from; there is no pause and no resume, so there is
no such state to lose in a rebalance (Faust's own lets queue pressure undo a pause for good).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from .ledger import PartitionLedger
from .topic_partition import TP

DEFAULT_WINDOW = 1000
"""Unfinished records a partition may have where the stage says nothing."""

REFILL_SHARE = 4
"""A partition is read again when a quarter of its window is free: record by record a fetch would cost more than the
record (measured: 12 records a fetch, 10 % of all CPU). With 5 s of work in a window the rest lasts for long."""

MAX_HELD = 10_000
"""Delivered records above the committable offset, where the stage says nothing. One record that takes long lets others
finish behind it, and a crash delivers all of those again; so many seconds of replay are acceptable, hours are not."""


@dataclass(frozen=True, slots=True)
class Windows:
    """The rule of one app.

    Attributes:
        window: unfinished records that a partition may have; called before every fetch, on the main loop.
        anchor: topic whose partition p must be held here for partition p of any other topic to be served. Faust keeps
            equal partitions of several topics together only while their counts and the subscriptions of all workers
            are equal, which is not so during a rolling change. What is assigned without its anchor is not read, not
            committed and not mentioned to the stage, until a later rebalance brings the two together: another worker
            may hold what belongs to that number. None: all that is assigned is served.
        held: delivered records above the committable offset that a partition may have.
        fair: most records of one partition in one fetch, so that a full one does not take it all.
    """

    window: Callable[[TP], int]
    anchor: str | None = None
    held: Callable[[TP], int] = lambda tp: MAX_HELD
    fair: int = 100

    def served(self, assigned: Collection[TP]) -> frozenset[TP]:
        """Those of the assigned partitions whose anchor is among them as well."""
        if self.anchor is None:
            return frozenset(assigned)
        anchored = {tp.partition for tp in assigned if tp.topic == self.anchor}
        return frozenset(tp for tp in assigned if tp.partition in anchored)

    def rooms(self, served: Mapping[TP, PartitionLedger]) -> dict[TP, int]:
        """Records that may be taken of each partition in the next fetch; partitions without room, or with too little to
        be worth a fetch, are absent."""
        rooms = {}
        for tp, partition in served.items():
            window = self.window(tp)
            room = min(window - partition.outstanding(), self.held(tp) - partition.held(), self.fair)
            if room > 0 and room >= min(window, self.fair) // REFILL_SHARE:
                rooms[tp] = room
        return rooms
