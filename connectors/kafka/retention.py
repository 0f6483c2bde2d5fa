"""An alarm before records leave the log unprocessed: what is half a topic's retention behind has the other half left.

What is gone is told as a loss (log_positions.py); this is told while something can be done about it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from typing import Protocol

import structlog
from aiokafka.errors import KafkaError

from connectors.health import Health
from schemas.topics import app_of, catalogue

from . import metrics
from .start_position import LogBounds
from .topic_partition import TP

log = structlog.get_logger(__name__)

LOOK_EVERY_S = 60.0
"""Retentions are days; a minute is soon."""


class Broker(Protocol):
    """What is asked of the consumer's thread."""

    async def offsets_at(self, times_ms: Mapping[TP, int]) -> dict[TP, int | None]:
        """The first offset that was written at or after a time; None where there is none."""

    async def bounds(self, partitions: Collection[TP]) -> dict[TP, LogBounds]:
        """What the logs hold."""


class RetentionWatch:
    """Remembers which partitions are late, so that each is told once. `look` is called every minute.

    Args:
        now_ms: epoch milliseconds.
    """

    def __init__(self, broker: Broker, *, now_ms: Callable[[], int]) -> None:
        self._broker = broker
        self._now_ms = now_ms
        self._late: frozenset[TP] = frozenset()

    async def look(self, finished_to: Mapping[TP, int]) -> None:
        """Compare how far the served partitions are finished with what was written half a retention ago. Waits while
        the broker is away; what the broker refuses changes nothing."""
        now_ms = self._now_ms()
        half = {tp: now_ms - kept_ms // 2 for tp in finished_to if (kept_ms := retention_ms(tp.topic)) is not None}
        try:
            late = await self._behind(half, finished_to) if half else frozenset()
        except KafkaError as error:  # a partition that is being moved, for example: a minute later, then
            log.debug("cannot look back in the logs", error=repr(error))
            return
        for tp in late - self._late:
            log.error(
                "half of the retention has passed over records that are not processed",
                topic=tp.topic,
                partition=tp.partition,
                finished_to=finished_to[tp],
                fix="see what holds them (commlayer lanes list), add workers, or raise retention.ms of the topic",
            )
        for topic in {tp.topic for tp in (*late, *self._late)}:
            metrics.PAST_HALF_RETENTION.labels(topic).set(sum(tp.topic == topic for tp in late))
        self._late = late

    def health(self) -> Health:
        """Not ok while a partition is late."""
        told = ", ".join(f"{tp.topic}/{tp.partition}" for tp in sorted(self._late))
        return Health(not self._late, f"half of the retention is over: {told}" if told else "")

    async def _behind(self, since_ms: Mapping[TP, int], finished_to: Mapping[TP, int]) -> frozenset[TP]:
        # Ends first: where nothing was written since, everything up to there is older, also if a record comes now.
        ends = await self._broker.bounds(since_ms)
        first = await self._broker.offsets_at(since_ms)
        limits = {tp: offset if (offset := first.get(tp)) is not None else ends[tp].end for tp in since_ms}
        return frozenset(tp for tp, limit in limits.items() if finished_to[tp] < limit)


@lru_cache(maxsize=4096)
def retention_ms(topic: str) -> int | None:
    """How long a topic of ours keeps its records; None for others, and for those that keep the last of each key."""
    app = app_of(topic)
    found = [each for each in catalogue([] if app is None else [app]) if each.name == topic]
    return found[0].retention_ms if found else None
