"""Deletes entries that nobody needs any more, slowly, as puts of nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from . import metrics
from .states import PartitionStates

LOOK = 200
"""Entries looked at in one turn of the loop: below a millisecond."""
LOOKS_PER_S = 10
"""So 2,000 entries/s are looked at, whatever is deleted: a million in eight minutes."""


async def evict(
    states: PartitionStates,
    partition: int,
    needless: Callable[[bytes, bytes], bool],
    *,
    deletions_per_s: float = 100.0,
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
