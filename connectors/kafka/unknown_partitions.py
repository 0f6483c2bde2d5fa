"""Records for partitions that librdkafka does not know: a topic may have grown since it last asked.

A worker's consumer learns of new partitions by itself, and what comes from them is answered in the partition of the
same number. A producer asks the brokers again once in `metadata_max_age_s`, and refuses such a record until then. Here
they are asked at once, and some times more: the one that answers may not have heard of the partition yet, which the
consumer knows from another.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

from confluent_kafka import KafkaException

Record = TypeVar("Record")

ASK_AFTER_S = 0.05
"""Others come meanwhile; and what is told of a topic reaches librdkafka's other threads a moment later."""
AGAIN_S = 0.25
QUESTIONS = 9
"""Two seconds of them: brokers tell each other of a new partition in less."""
RETRY_S = 0.5
"""While the brokers do not answer."""


class UnknownPartitions(Generic[Record]):
    """What waits until the brokers were asked. All methods belong to the running event loop.

    Args:
        count: asks the brokers how many partitions a topic has; raises KafkaException while they do not answer.
        again: given records whose partitions there are, those of each partition in their order.
        refuse: given each record whose partition none of some `QUESTIONS` answers knew.
    """

    def __init__(
        self,
        *,
        count: Callable[[str], Awaitable[int]],
        again: Callable[[list[Record]], None],
        refuse: Callable[[Record], None],
    ) -> None:
        self._count = count
        self._again = again
        self._refuse = refuse
        self._waiting: dict[tuple[str, int], list[Record]] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def __contains__(self, place: tuple[str, int]) -> bool:
        """Whether records of this topic and partition wait: what follows waits behind them."""
        return place in self._waiting

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self._waiting)

    def keep(self, topic: str, partition: int, record: Record) -> None:
        """Let a record wait."""
        self._waiting.setdefault((topic, partition), []).append(record)
        if topic not in self._tasks:
            self._tasks[topic] = asyncio.create_task(self._ask(topic), name=f"partitions of {topic}")

    def clear(self) -> None:
        """Forget everything."""
        self._waiting.clear()
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()

    async def _ask(self, topic: str) -> None:
        missing: Counter[tuple[str, int]] = Counter()
        pause_s = ASK_AFTER_S
        while True:
            await asyncio.sleep(pause_s)
            places = [place for place in self._waiting if place[0] == topic]
            try:
                count = await self._count(topic)
            except KafkaException:
                pause_s = RETRY_S
                continue
            missing.update(place for place in places if place[1] >= count)
            self._let_go([place for place in places if place[1] < count or missing[place] == QUESTIONS], count)
            pause_s = AGAIN_S
            if not any(place[0] == topic for place in self._waiting):
                del self._tasks[topic]
                return

    def _let_go(self, places: list[tuple[str, int]], count: int) -> None:
        known: list[Record] = []
        for place in places:
            records = self._waiting.pop(place)
            if place[1] < count:
                known += records
            else:
                for record in records:
                    self._refuse(record)
        if known:
            self._again(known)
