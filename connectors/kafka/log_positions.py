"""Finds out where to read on, from what the group committed and what the logs still hold, and reports what is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Protocol

import structlog

from . import metrics
from .commit_book import Commit
from .hooks import Loss, PartitionHooks
from .start_position import LogBounds, start_position
from .topic_partition import TP

log = structlog.get_logger(__name__)

TRUNCATION_CHECKS = 3
"""How often a log must be found shorter than what was committed before it is believed: a new leader may for a moment
not know how far its log is replicated."""

CHECK_PAUSE_S = 1.0


class Broker(Protocol):
    """What is asked of the consumer's thread."""

    async def committed(self, partitions: Collection[TP]) -> dict[TP, Commit]:
        """What the group holds."""

    async def bounds(self, partitions: Collection[TP]) -> dict[TP, LogBounds]:
        """What the logs hold."""


class LogPositions:
    """Asks the broker, and tells the hooks of losses before anything behind them is read."""

    def __init__(self, broker: Broker, hooks: PartitionHooks) -> None:
        self._broker = broker
        self._hooks = hooks

    async def at_start(self, partitions: Collection[TP]) -> tuple[dict[TP, Commit], dict[TP, int]]:
        """What the group holds for these partitions, and where to read each from."""
        committed, bounds = await asyncio.gather(self._broker.committed(partitions), self._broker.bounds(partitions))
        positions = {}
        for tp in partitions:
            position = committed[tp].offset if tp in committed else None
            if self._hooks.from_start is not None and self._hooks.from_start(tp):
                position = None
            positions[tp] = await self._from(tp, position, bounds[tp])
        return committed, positions

    async def after(self, tp: TP, position: int) -> int:
        """Where to read on when the log no longer holds the position reached. Below `position`: it is another log."""
        return await self._from(tp, position, (await self._broker.bounds([tp]))[tp])

    async def _from(self, tp: TP, position: int | None, bounds: LogBounds) -> int:
        start = start_position(tp, position, bounds)
        for _ in range(TRUNCATION_CHECKS - 1):
            if start.loss is None or start.loss.reason != "truncated":
                break
            await asyncio.sleep(CHECK_PAUSE_S)
            start = start_position(tp, position, (await self._broker.bounds([tp]))[tp])
        if start.loss is not None:
            await self._report(start.loss)
        return start.offset

    async def _report(self, loss: Loss) -> None:
        log.error(
            "records are gone from the log that were not processed"
            if loss.count
            else "the log ends below what was processed: it is another one, and read from its start",
            topic=loss.tp.topic,
            partition=loss.tp.partition,
            committed=loss.committed,
            first_lost=loss.first,
            read_on_at=loss.next,
            at_most=loss.count,
        )
        metrics.LOST.labels(loss.tp.topic).inc(loss.count)
        await self._hooks.lost(loss)
