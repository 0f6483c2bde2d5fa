"""Forgets what nobody needs any more, once its input cannot come again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Protocol

from connectors.kafka.state import PartitionNotOpen, PartitionStates, PartitionTaken, evict
from connectors.kafka.topic_partition import TP

from .memory import Memory, recipient_of


class Reach(Protocol):
    """How far inputs are finished; `connectors.kafka.consumer.Consumer` tells it."""

    async def ends(self, partitions: Collection[TP]) -> dict[TP, int]:
        """Where the logs of these partitions end now."""

    async def finished_to(self, tp: TP, end: int) -> bool:
        """Every record of a served partition below the offset `end` is finished."""


class Sweeper:
    """Belongs to one event loop.

    A decision outlives the records of its topic by far, and yet a log may keep a record for longer than it must: one
    that is not finished would be decided again if its decision were forgotten. So a partition is swept only when all
    that lay in its request topics at the sweep before is finished.

    Args:
        topics: where requests come from. What waits on the wheel is remembered until long after it is due.
        busy: a recipient is having their turn; they are left alone until the next time.
        now_ms: wall clock, epoch milliseconds UTC.
    """

    def __init__(
        self,
        states: PartitionStates,
        memory: Memory,
        topics: Collection[str],
        *,
        busy: Callable[[Hashable], bool],
        now_ms: Callable[[], int],
    ) -> None:
        self._states = states
        self._memory = memory
        self._topics = tuple(topics)
        self._busy = busy
        self._now_ms = now_ms
        self._ends: dict[int, Mapping[TP, int]] = {}

    def let_go(self) -> None:
        """Partitions are given out anew."""
        self._ends.clear()

    async def sweep(self, reach: Reach) -> None:
        """Go once through each partition that is served. A rebalance ends it."""
        for home in sorted(self._states.partitions):
            try:
                if await self._is_behind(home, reach):
                    continue
                await evict(self._states, home, self._needless)
            except (PartitionNotOpen, PartitionTaken):
                self._ends.pop(home, None)

    async def _is_behind(self, home: int, reach: Reach) -> bool:
        ends = self._ends.get(home)
        if ends is not None:
            for tp, end in ends.items():
                if not await reach.finished_to(tp, end):
                    return True
        self._ends[home] = await reach.ends([TP(topic, home) for topic in self._topics])
        return ends is None

    def _needless(self, key: bytes, value: bytes) -> bool:
        return not self._busy(recipient_of(key)) and self._memory.useless(key, value, self._now_ms())
