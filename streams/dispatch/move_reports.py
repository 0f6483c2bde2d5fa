"""Says on comms.control where pacing groups lie: those whose place was never written down, and those that have left a
partition served here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from connectors.kafka.topic_partition import TP
from schemas.records import Control, ControlSubject, Stage
from streams.control.places import moved
from streams.control.switches import Aspect, control_key

from .lanes import LaneTable
from .moving import Moving
from .snapshot import SAMPLE_EVERY_S
from .tenure import Tenure


class MoveReports:
    """Belongs to the event loop of the scheduler.

    Args:
        topics: of the classes.
        consumer: of the stage; None before the first assignment.
        may_act: whether what is held here is still ours.
        apply: takes a record of comms.control as if it had been read.
        write: puts a record under a key on comms.control; returns when it is acknowledged.
        broken: told of what nobody can handle; the process must end.
        now_ms: epoch milliseconds.
    """

    def __init__(
        self,
        table: LaneTable,
        moving: Moving,
        tenure: Tenure,
        *,
        topics: Sequence[str],
        consumer: Callable[[], Any],
        may_act: Callable[[], bool],
        apply: Callable[[bytes, Control], None],
        write: Callable[[bytes, Control], Awaitable[None]],
        broken: Callable[[Exception], Awaitable[None]],
        now_ms: Callable[[], int],
    ) -> None:
        self._table = table
        self._moving = moving
        self._tenure = tenure
        self._topics = topics
        self._consumer = consumer
        self._may_act = may_act
        self._apply = apply
        self._write = write
        self._broken = broken
        self._now_ms = now_ms
        self._ends: dict[str, dict[TP, int]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look."""
        self._task = asyncio.create_task(self._run(), name="dispatch moves")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def assigned(self) -> None:
        """Other partitions are served now: write down the places that nobody knows, and look anew at those that are
        left."""
        self._ends.clear()
        for name in self._moving.unknown():
            partition = self._table.groups[name].partition
            record = moved(name, partition, by=Stage.DISPATCH.value, at=self._now_ms())
            await self._write(_place_key(record), record)

    async def look(self) -> None:
        """Tell of groups that have left a partition served here: everything of it that was written by the time of the
        first look is finished, and nothing of the group is held."""
        consumer, generation = self._consumer(), self._tenure.generation
        for name, place in self._moving.leaving().items():
            tps = [TP(topic, place.home) for topic in self._topics]
            if name not in self._ends:
                self._ends[name] = await consumer.ends(tps)
            ends = self._ends[name]
            finished = [await consumer.finished_to(tp, ends[tp]) for tp in tps]
            if not all(finished) or any(self._tenure.count(tp, name) for tp in tps):
                continue
            if place.opening is None or generation != self._tenure.generation or not self._may_act():
                return
            record = moved(name, place.opening, by=Stage.DISPATCH.value, at=self._now_ms(), since=place.home)
            # From here on another paces the group: nothing more of it starts here, whenever the record comes back.
            self._apply(_place_key(record), record)
            await self._write(_place_key(record), record)

    async def _run(self) -> None:
        try:
            while True:
                await asyncio.sleep(SAMPLE_EVERY_S)
                if self._may_act():
                    await self.look()
        except Exception as error:
            await self._broken(error)


def _place_key(record: Control) -> bytes:
    return control_key(ControlSubject.GROUP, record.subject, Aspect.PLACE)
