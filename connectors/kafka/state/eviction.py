"""Deletes entries that nobody needs any more, slowly, as puts of nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from . import metrics
from .states import PartitionStates

LOOK = 50
"""Entries looked at in one turn of the loop: a millisecond or two, as each is decoded."""
LOOKS_PER_S = 40
"""So 2,000 entries/s are looked at: a million in eight minutes, for some 5 % of a core."""
DELETIONS_PER_S = 2000.0
"""As many as are looked at. What is deleted more slowly than it is written grows without end, and a process writes
hundreds a second all day."""


async def evict(
    states: PartitionStates,
    partition: int,
    needless: Callable[[bytes, bytes], bool],
    *,
    deletions_per_s: float = DELETIONS_PER_S,
    looks_per_s: float = LOOKS_PER_S,
) -> int:
    """Go once through a partition and delete what `needless(key, value)` names. Returns how many entries.

    An entry with a put under way is left alone. The caller must not be between reading an entry and putting it: a
    predicate that knows of such (a turn of that recipient is taken) says no.

    Raises:
        what `PartitionStates.put` raises.
    """
    start, deleted = b"", 0
    while True:
        entries = states.page(partition, start, LOOK)
        gone: dict[bytes, bytes | None] = {
            key: None for key, value in entries if not states.is_in_flight(partition, key) and needless(key, value)
        }
        if gone:  # handed over in the same turn of the loop as it was judged
            await states.put(partition, gone)
            deleted += len(gone)
            metrics.EVICTED.labels(states.topic).inc(len(gone))
        if len(entries) < LOOK:
            return deleted
        start = entries[-1][0] + b"\0"
        await asyncio.sleep(max(1 / looks_per_s, len(gone) / deletions_per_s))
