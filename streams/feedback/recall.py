"""Messages of which something is said and too little is known here: their facts wait, the log is searched for the rest.

Callbacks and dispatch's events may come a moment before policy's own event, so they wait that moment first. What is
still incomplete then was said of a message that this process has forgotten or never heard of; then the partition's log,
which holds all that was said for its retention, is searched once for all such messages together.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import structlog

from connectors.kafka.asking import Stopped
from connectors.kafka.log_reader import LogReader
from connectors.kafka.topic_partition import TP

from . import metrics
from .reading import FactReader

log = structlog.get_logger(__name__)

GRACE_S = 2.0
"""How long policy's event may come after the first thing that is said of its round: an acknowledgement or two."""

TICK_S = 0.25

Found = dict[str, list[bytes]]


@dataclass(slots=True)
class Parked:
    """The events of one message that wait.

    Attributes:
        tp: their partition.
        since: when the first one came, monotonic seconds.
        events: the events.
    """

    tp: TP
    since: float
    events: list[Any] = field(default_factory=list)


class Recall:
    """Holds what waits and searches for it, one search at a time.

    Args:
        facts: makes sure that what is found can be read.
        resume: called with a message id, the events that waited and all that the log holds of it.
        grace_s: how long an event waits before the search.
    """

    def __init__(
        self, facts: FactReader, resume: Callable[[str, list[Any], list[bytes]], None], *, grace_s: float
    ) -> None:
        self._facts = facts
        self._resume = resume
        self._grace_s = grace_s
        self._parked: dict[str, Parked] = {}
        self._reader: LogReader | None = None

    def __len__(self) -> int:
        return sum(len(parked.events) for parked in self._parked.values())

    def begin(self, reader: LogReader) -> None:
        """Search with this reader from now on."""
        self._reader = reader

    def end(self) -> None:
        """Forget what waits: it is delivered again."""
        self._reader = None
        self._parked.clear()

    def park(self, message_id: str, tp: TP, event: Any) -> None:
        """Let this event wait."""
        parked = self._parked.get(message_id)
        if parked is None:
            parked = self._parked[message_id] = Parked(tp, time.monotonic())
        parked.events.append(event)

    def release(self, message_id: str) -> list[Any]:
        """The events that waited for this message, now that enough is known of it."""
        parked = self._parked.pop(message_id, None)
        return parked.events if parked is not None else []

    async def run(self) -> None:
        """Search whenever something has waited for long enough, until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            since = time.monotonic() - self._grace_s
            due = {message_id: parked for message_id, parked in self._parked.items() if parked.since <= since}
            if due and self._reader is not None:
                await self._search(self._reader, due)

    async def _search(self, reader: LogReader, due: dict[str, Parked]) -> None:
        started = time.monotonic()
        found: Found = {message_id: [] for message_id in due}
        try:
            read = await asyncio.to_thread(self._scan, reader, {parked.tp for parked in due.values()}, found)
        except Stopped:
            return
        took_s = time.monotonic() - started
        metrics.searches.inc()
        metrics.searched.inc(len(due))
        log.info("log searched", messages=len(due), records=read, seconds=round(took_s, 2))
        for message_id, parked in due.items():
            if self._parked.get(message_id) is parked:
                self._resume(message_id, self.release(message_id), found[message_id])
        await asyncio.sleep(took_s)  # so that searching never takes more than half of the time

    def _scan(self, reader: LogReader, partitions: set[TP], found: Found) -> int:
        wanted = {message_id.encode(): values for message_id, values in found.items()}

        def take(message: Any) -> None:
            values = wanted.get(message.key())
            if values is not None and message.value() is not None:
                self._facts.prepare(message.value(), reader.stopped)
                values.append(message.value())

        return reader.read(reader.whole(partitions), take)
