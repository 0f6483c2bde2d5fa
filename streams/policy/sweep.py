"""Forgets what nobody needs any more."""

from __future__ import annotations

from collections.abc import Callable, Hashable

from connectors.kafka.state import PartitionNotOpen, PartitionStates, PartitionTaken, evict

from .memory import Memory, recipient_of


async def sweep(
    states: PartitionStates,
    memory: Memory,
    home: int,
    *,
    busy: Callable[[Hashable], bool],
    now_ms: Callable[[], int],
) -> None:
    """Go once through a partition. Who is having their turn is left alone until the next time; a rebalance ends it."""

    def needless(key: bytes, value: bytes) -> bool:
        return not busy(recipient_of(key)) and memory.useless(key, value, now_ms())

    try:
        await evict(states, home, needless)
    except (PartitionNotOpen, PartitionTaken):
        return
