"""Look-ups in the attempts log that are asked for while it is being read share the next reading: after a crash of
policy thousands of records come that each must be looked up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from schemas.records import Attempt

Found = list[tuple[Attempt, int]]
"""Records of the attempts log, each with its position, in their order."""


class About(NamedTuple):
    """What is looked for.

    Attributes:
        people: recipients.
        ids: message ids.
    """

    people: frozenset[str]
    ids: frozenset[str] = frozenset()


Find = Callable[[int, int, About], Awaitable[Found]]
"""Reads a partition from a moment on (epoch milliseconds); `Replay.find`."""


def about(people: Iterable[str], ids: Iterable[str] = ()) -> About:
    """What is looked for."""
    return About(frozenset(people), frozenset(ids))


@dataclass(slots=True, eq=False)
class _Request:
    since_ms: int
    about: About
    answer: asyncio.Future[Found]


class SharedReading:
    """All methods belong to one event loop.

    Args:
        find: reads the log.
    """

    def __init__(self, find: Find) -> None:
        self._find = find
        self._waiting: dict[int, list[_Request]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def find(self, partition: int, since_ms: int, about: About) -> Found:
        """As `Replay.find`; raises what that raises."""
        request = _Request(since_ms, about, asyncio.get_running_loop().create_future())
        waiting = self._waiting.get(partition)
        if waiting is None:
            self._waiting[partition] = [request]
            task = asyncio.create_task(self._read(partition), name="dispatch look-ups")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            waiting.append(request)
        return await request.answer

    async def stop(self) -> None:
        """End what is being read; who waits for it is cancelled. What is asked for afterwards is read as ever."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for requests in self._waiting.values():  # of a task that had not begun
            _cancel(requests)
        self._waiting.clear()

    async def _read(self, partition: int) -> None:
        requests: list[_Request] = []
        try:
            while requests := self._waiting[partition]:
                self._waiting[partition] = []
                await self._answer(partition, requests)
        finally:
            _cancel([*requests, *self._waiting.pop(partition)])

    async def _answer(self, partition: int, requests: list[_Request]) -> None:
        wanted = about(
            (person for request in requests for person in request.about.people),
            (message_id for request in requests for message_id in request.about.ids),
        )
        try:
            found = await self._find(partition, min(request.since_ms for request in requests), wanted)
        except Exception as error:
            for request in requests:
                if not request.answer.done():
                    request.answer.set_exception(error)
            return
        by_person: dict[str, dict[int, Attempt]] = {}
        by_id: dict[str, dict[int, Attempt]] = {}
        for record, position in found:
            by_person.setdefault(record.recipient, {})[position] = record
            by_id.setdefault(record.message_id, {})[position] = record
        for request in requests:
            if request.answer.done():
                continue  # cancelled
            mine: dict[int, Attempt] = {}
            for person in request.about.people:
                mine |= by_person.get(person, {})
            for message_id in request.about.ids:
                mine |= by_id.get(message_id, {})
            request.answer.set_result([(record, position) for position, record in sorted(mine.items())])


def _cancel(requests: Iterable[_Request]) -> None:
    for request in requests:
        request.answer.cancel()  # without effect on those that were answered
