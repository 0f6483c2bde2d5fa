"""What a process holds under its present assignment, and the work it has under way."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from connectors.kafka.topic_partition import TP

from .attempts import Key
from .jobs import Job


class Tenure:
    """Every message taken in and not finished.

    Attributes:
        generation: of the assignment; 0 between two.
        held: by (message id, round).
        closing: the partitions are about to go: nothing new is begun.
    """

    def __init__(self) -> None:
        self.generation = 0
        self.held: dict[Key, Job] = {}
        self.closing = False
        self._of_group: Counter[tuple[TP, str]] = Counter()
        self._of_carrier: Counter[tuple[TP, str, str]] = Counter()

    def admit(self, job: Job) -> None:
        """Hold a message from now on."""
        self.held[job.key] = job
        self._of_group[job.place] += 1
        if job.order.carrier is not None:
            self._of_carrier[*job.place, job.order.carrier] += 1

    def release(self, job: Job) -> None:
        """A message has left."""
        if self.held.get(job.key) is job:
            del self.held[job.key]
            self._of_group[job.place] -= 1
            if not self._of_group[job.place]:
                del self._of_group[job.place]
            if job.order.carrier is not None:
                self._of_carrier[*job.place, job.order.carrier] -= 1

    def count(self, tp: TP, group: str) -> int:
        """Messages held of a group from one partition of one class."""
        return self._of_group[tp, group]

    def count_for(self, tp: TP, group: str, carrier: str) -> int:
        """Those of them for a carrier."""
        return self._of_carrier[tp, group, carrier]

    def holds(self, job: Job) -> bool:
        """The job's records are still ours to finish."""
        return job.generation == self.generation and self.held.get(job.key) is job

    def end(self) -> None:
        """The partitions are another's: what was held comes again."""
        self.generation = 0
        self.held.clear()
        self._of_group.clear()
        self._of_carrier.clear()


class UnderWay:
    """Work that is being done: counted, so that one can wait until there is none.

    Args:
        broken: given an exception that no part can handle; the process must end.
    """

    def __init__(self, broken: Callable[[Exception], Awaitable[None]]) -> None:
        self._broken = broken
        self._tasks: set[asyncio.Task[None]] = set()
        self._none = asyncio.Event()
        self._none.set()
        self.count = 0

    def began(self) -> None:
        """A piece of work begins. Whoever calls this calls `ended` as well, whatever happens."""
        self.count += 1
        if self.count == 1:
            self._none.clear()

    def ended(self) -> None:
        """A piece of work has ended."""
        self.count -= 1
        if not self.count:
            self._none.set()

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do a piece of work in a task of its own. It is under way from this call on, not from the task's first step:
        who waits for nothing to be under way must not miss it."""
        self.began()
        task = asyncio.ensure_future(self._do(work))
        self._tasks.add(task)
        task.add_done_callback(self._done)

    async def nothing(self) -> None:
        """Return when nothing is under way."""
        await self._none.wait()

    async def broke(self, error: Exception) -> None:
        """An exception that no part can handle."""
        await self._broken(error)

    async def stop(self) -> None:
        """Cancel what was spawned."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _do(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            await self._broken(error)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.ended()
