"""Tells policy how far the lanes that are served here are behind: looks every few seconds, writes what is news."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from connectors.kafka.topic_partition import TP
from schemas.records import Control, Stage
from schemas.topics import dispatch_topic
from streams.control.backlogs import Backlogs, backlog, backlog_key, is_news
from streams.control.switches import is_backlog

from .backlog import Unread, etas
from .scheduler import Scheduler
from .shares import CLASSES

EVERY_S = 5.0
"""A lane is told of at most so often. Long against what dispatch holds of a lane (5 s of its rate), short against the
deadlines by which policy denies."""
FULL_PART = 2
"""What fills less than this part of its window is fetched at once: nothing of it lies unread."""

_RANK_OF = {dispatch_topic(message_class): rank for rank, message_class in enumerate(CLASSES)}


class BacklogWatch:
    """Belongs to the event loop of the scheduler.

    Args:
        consumer: of the stage; None before the first assignment.
        owns: whether a lane is served here.
        may_act: whether what is held here is still ours.
        write: puts a record under a key on comms.control; returns when it is acknowledged.
        broken: told of what nobody can handle; the process must end.
        clock: monotonic seconds.
        now_ms: wall clock, epoch milliseconds UTC.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        consumer: Callable[[], Any],
        owns: Callable[[str], bool],
        may_act: Callable[[], bool],
        write: Callable[[bytes, Control], Awaitable[None]],
        broken: Callable[[Exception], Awaitable[None]],
        clock: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        self._scheduler = scheduler
        self._consumer = consumer
        self._owns = owns
        self._may_act = may_act
        self._write = write
        self._broken = broken
        self._clock = clock
        self._now_ms = now_ms
        self._told = Backlogs()
        self.seen: Mapping[tuple[int, int], Unread] = {}
        """What lay unread at the last look, by partition and rank of the class; empty where nothing is ours."""
        self._seen: dict[TP, tuple[float, int]] = {}
        self._generation = 0
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run(), name="dispatch backlog")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def take(self, key: bytes, record: Control | None) -> bool:
        """A record of comms.control: whether it was about a backlog. What is known to readers is what stands there,
        whoever wrote it."""
        if not is_backlog(key):
            return False
        self._told.take(key, record)
        return True

    async def look(self) -> None:
        """Tell what is news."""
        unread = await self._unread()
        if not self._may_act():
            self.seen = {}
            return
        self.seen = unread
        now_ms = self._now_ms()
        for lane, eta_s in etas(self._scheduler, unread).items():
            if self._owns(lane) and is_news(self._told.by_lane.get(lane), eta_s, now_ms):
                record = backlog(lane, eta_s, by=Stage.DISPATCH.value, at=now_ms)
                await self._write(backlog_key(lane), record)

    async def _run(self) -> None:
        try:
            while True:
                await asyncio.sleep(EVERY_S)
                if self._may_act():
                    await self.look()
                else:
                    self.seen = {}
        except Exception as error:
            await self._broken(error)

    async def _unread(self) -> dict[tuple[int, int], Unread]:
        """What lies unread, where it was looked at before: how fast it is taken is part of it."""
        consumer, generation = self._consumer(), self._consumer().generation
        if generation != self._generation:
            self._generation = generation
            self._seen.clear()
        window = self._scheduler.table.window
        places = [
            tp
            for tp in consumer.partitions
            if tp in self._seen or consumer.outstanding(tp) * FULL_PART >= window(tp.partition)
        ]
        now, before = self._clock(), dict(self._seen)
        found: dict[tuple[int, int], Unread] = {}
        self._seen.clear()
        for tp, (position, end) in (await consumer.unread(places)).items():
            if end <= position:
                continue
            self._seen[tp] = (now, position)
            if tp in before:
                since, was = before[tp]
                per_s = (position - was) / max(now - since, 1e-3)
                found[tp.partition, _RANK_OF[tp.topic]] = Unread(end - position, per_s)
        return found
