"""A stage that does nothing but remember, on a real app in the test's own loop: for tests of what the consumer does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from connectors.kafka.app import StageApp, create_app
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topic_partition import TP

WAIT_S = 60.0


def quick_settings(bootstrap: str, **changes: Any) -> KafkaSettings:
    """Sessions as short as brokers allow by default, so that tests of lost members end soon."""
    times = {"session_timeout_s": 6.0, "heartbeat_interval_s": 0.5, "request_timeout_s": 2.0, "commit_interval_s": 0.2}
    return KafkaSettings(bootstrap=(bootstrap,), **(times | changes))


class Received(NamedTuple):
    """A record as the stage got it."""

    tp: TP
    offset: int
    generation: int
    event: Any

    def finish(self) -> None:
        self.event.ack()


class RecordingStage:
    """Takes every record of its topics and keeps it unfinished, unless `finish_at_once`.

    Attributes:
        received: all records, in order of arrival.
        calls: what the hooks were called with, in order: ("assigned", partitions, generation), ("revoked", partitions),
            ("released", partitions), ("lost", loss).
        committed: (partition, offset) of every confirmation.
    """

    def __init__(self, app: StageApp, topics: Iterable[str], *, finish_at_once: bool = False) -> None:
        self.app = app
        self.received: list[Received] = []
        self.calls: list[tuple[Any, ...]] = []
        self.committed: list[tuple[TP, int]] = []
        self.finish_at_once = finish_at_once
        self._changed = asyncio.Event()
        hooks = app.hooks
        hooks.on_assigned(lambda partitions, generation: self._note("assigned", partitions, generation))
        hooks.on_revoked(lambda partitions: self._note("revoked", partitions))
        hooks.on_released(lambda partitions: self._note("released", partitions))
        hooks.on_loss(lambda loss: self._note("lost", loss))
        hooks.on_committed(self._commit_confirmed)
        for topic in topics:
            app.agent(app.topic(topic, value_type=bytes, value_serializer="raw"), name=f"take {topic}")(self._take)

    async def _take(self, stream: Any) -> None:
        async for event in stream.noack().events():
            message = event.message
            record = Received(TP(*message.tp), message.offset, message.generation_id, event)
            self.received.append(record)
            if self.finish_at_once:
                record.finish()
            self._changed.set()

    def _note(self, *call: Any) -> None:
        self.calls.append(call)
        self._changed.set()

    def _commit_confirmed(self, tp: TP, offset: int) -> None:
        self.committed.append((tp, offset))
        self._changed.set()

    def offsets(self, tp: TP) -> list[int]:
        """What was received of this partition, in order."""
        return [record.offset for record in self.received if record.tp == tp]

    def holds(self, count: int) -> bool:
        """What this stage was last told is the assignment of so many partitions."""
        return bool(self.calls) and self.calls[-1][0] == "assigned" and len(self.calls[-1][1]) == count

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something that this stage saw makes it true."""
        async with asyncio.timeout(WAIT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def until_received(self, count: int) -> None:
        await self.until(lambda: len(self.received) >= count)

    async def until_flowing(self) -> None:
        """Wait until what is assigned is being read."""
        async with asyncio.timeout(WAIT_S):
            await self.app.consumer.can_resume_flow.wait()


def recording_app(
    bootstrap: str,
    group: str,
    datadir: Path,
    *,
    anchor: str | None = None,
    window: int = 1000,
    instance_id: str | None = None,
    **settings: Any,
) -> StageApp:
    return create_app(
        quick_settings(bootstrap, **settings),
        group=group,
        anchor=anchor,
        window=lambda tp: window,
        instance_id=instance_id,
        datadir=datadir,
    )


@asynccontextmanager
async def running(app: StageApp) -> AsyncIterator[StageApp]:
    """Run the app as StageWorker does, and stop it at the end. What broke it is raised then."""
    started = asyncio.ensure_future(app.start())
    try:
        yield app
    finally:
        if not app.crashed:
            await app.consumer.let_go()
        await app.stop()
        started.cancel()
        await asyncio.wait([started])
    if app.crash_reason is not None:
        raise app.crash_reason


async def run_until_it_breaks(app: StageApp) -> None:
    """Run the app, whose test expects it to break, and raise what broke it."""
    async with running(app), asyncio.timeout(WAIT_S):
        await app._crashed.wait()
