"""One open partition: writes to the log first, folds what was acknowledged in the log's order, then says so."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import NamedTuple, TypeVar

import structlog

from connectors.kafka.publisher import DurablePublisher, Position
from connectors.kafka.topic_partition import TP

from . import metrics
from .envelope import Source, Write, headers_of
from .fold import Fold, Folded
from .log_order import Hole, LogOrder
from .restore import StateLog, Undecodable
from .store import Reflects, Store
from .store_writes import StoreWrites
from .writing import Writer

log = structlog.get_logger(__name__)

_Result = TypeVar("_Result")

OnUndecodable = Callable[[Undecodable], Awaitable[None]]


class PartitionNotOpen(Exception):
    """The partition is not open here (any more). A put that was under way may or may not be in the log."""


class PartitionTaken(Exception):
    """Another process claimed the partition before this write reached the log: no fold will ever see it."""


class PartitionBroken(Exception):
    """A write failed before, so it is not known what the log holds. The process has to end."""


class _Written(NamedTuple):
    """A record under way.

    Attributes:
        record: what it says.
        at_ms: when it was handed over: the log reached no further than before it.
        done: of its put, on the last record only.
    """

    record: Write
    at_ms: int
    done: asyncio.Future[None] | None


class OpenPartition:
    """Belongs to one event loop. `states.py` opens it.

    Args:
        store: reflects the log up to our CLAIM.
        fold: as far as the store.
        epoch: offset of our CLAIM.
        writes: the store is written by them.
        threads: whatever else blocks goes there.
    """

    def __init__(
        self,
        tp: TP,
        store: Store,
        fold: Fold,
        *,
        epoch: int,
        publisher: DurablePublisher,
        reader: StateLog,
        writes: StoreWrites,
        threads: Executor,
        on_undecodable: OnUndecodable,
        now_ms: Callable[[], int],
    ) -> None:
        self.tp = tp
        self.store = store
        self._fold = fold
        self._writer = Writer(epoch, fold.sources)
        self._publisher = publisher
        self._reader = reader
        self._writes = writes
        self._threads = threads
        self._on_undecodable = on_undecodable
        self._now_ms = now_ms
        self._order: LogOrder[_Written] = LogOrder(fold.position)
        self._puts: set[asyncio.Future[None]] = set()
        self._in_flight: dict[bytes, int] = {}
        self._headers = headers_of(epoch, ())
        self._stored = metrics.WRITES.labels(tp.topic)
        self._stopped = threading.Event()
        self._end: Exception | None = None
        self._runner: asyncio.Task[None] | None = None
        self._repairs: set[asyncio.Future[None]] = set()

    def source_position(self, topic: str, partition: int) -> int | None:
        """Highest offset of that source partition in the store."""
        reached = self.store.reflects.sources.get(Source(topic, partition))
        return None if reached is None else reached.offset

    def is_in_flight(self, key: bytes) -> bool:
        """A write of this key was handed over and is not in the store yet."""
        return key in self._in_flight

    async def put(self, entries: Mapping[bytes, bytes | None], source: tuple[Source, int] | None) -> None:
        """See `PartitionStates.put`."""
        await self._hand_over(entries, source)

    def repair(self) -> None:
        """Write again what a stale record lies on top of."""
        entries = {key: self.store.get(key) for key in self._fold.overwritten if not self.is_in_flight(key)}
        if entries and self._end is None:
            log.warning("stale writes of a former owner, written again", partition=self.tp.partition, keys=len(entries))
            self._in_background(self._hand_over(entries, None))

    def _in_background(self, done: asyncio.Future[None]) -> None:
        self._repairs.add(done)
        done.add_done_callback(self._repaired)

    def look(self) -> None:
        """Find out what others have written since our last record, and repair it: where nothing is put, nobody would
        notice a stale record before compaction has dropped the good one under it."""
        if self._end is None and not self._puts:
            self._in_background(self._write([self._writer.mark()]))

    async def close(self, wait_s: float) -> None:
        """Wait for puts under way, but not for ever; what is left then raises PartitionNotOpen. Then let go."""
        try:
            if self._puts and self._end is None:
                self._closing()
                await asyncio.wait(self._puts, timeout=wait_s)
        finally:
            self._finish(PartitionNotOpen(f"{self.tp.topic}[{self.tp.partition}] was closed"))
            self._stopped.set()
            if self._runner is not None:
                await asyncio.gather(self._runner, return_exceptions=True)
            await asyncio.get_running_loop().run_in_executor(self._threads, self.store.close)

    # Writing

    def _hand_over(
        self, entries: Mapping[bytes, bytes | None], source: tuple[Source, int] | None
    ) -> asyncio.Future[None]:
        if self._end is None:
            return self._write(self._writer.records(entries, source))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_exception(self._end)
        return done

    def _write(self, records: Sequence[Write]) -> asyncio.Future[None]:
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not records:
            done.set_result(None)
            return done
        self._puts.add(done)
        done.add_done_callback(self._forget)
        at_ms = self._now_ms()
        for record in records:
            self._in_flight[record.key] = self._in_flight.get(record.key, 0) + 1
            written = _Written(record, at_ms, done if record is records[-1] else None)
            self._publisher.publish(
                self.tp.topic,
                record.value,
                key=record.key,
                partition=self.tp.partition,
                headers=headers_of(record.epoch, record.sources) if record.sources else self._headers,
            ).add_done_callback(functools.partial(self._acknowledged, written))
        return done

    def _acknowledged(self, written: _Written, future: asyncio.Future[Position]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is not None:
            self._broke(error)
        elif not self._stopped.is_set():
            self._order.acknowledged(future.result().offset, written)
            if self._runner is None:
                # At the next turn of the loop, when all acknowledgements of this one are here: one write for them all.
                self._runner = asyncio.create_task(self._catch_up(), name=f"state {self.tp.topic}[{self.tp.partition}]")

    # Folding

    async def _catch_up(self) -> None:
        try:
            while self._order and not self._stopped.is_set():
                turn = self._order.take()
                if turn:
                    await self._store(turn)
                else:
                    hole = self._order.hole()
                    assert hole is not None
                    await self._read(hole)
        except Exception as error:
            self._broke(error)
        finally:
            self._runner = None

    async def _store(self, turn: Sequence[tuple[int, _Written]]) -> None:
        stale = False
        for offset, written in turn:
            if offset >= self._fold.position:
                stale = self._fold.take(offset, written.record) is Folded.STALE
        reflects = Reflects(self._fold.position, self._fold.claim, turn[-1][1].at_ms, dict(self._fold.sources))
        await self._writes.write(self.store, self._fold.take_changes(), reflects)
        self._stored.inc(len(turn))
        for _, written in turn:
            key = written.record.key
            self._in_flight[key] -= 1
            if not self._in_flight[key]:
                del self._in_flight[key]
            if written.done is not None and not written.done.done():
                if written.record.epoch < self._fold.claim:
                    written.done.set_exception(self._taken())
                else:
                    written.done.set_result(None)
        if self._fold.overwritten and not stale:
            self.repair()

    async def _read(self, hole: Hole) -> None:
        """Others wrote between our records: those that came too late, or a new owner."""
        outcomes, bad = await self._in_thread(
            functools.partial(self._reader.between, self.tp.partition, self._fold, hole.end, self._stopped)
        )
        self._order.filled(hole)
        for outcome, count in Counter(outcomes).items():
            metrics.FOREIGN.labels(self.tp.topic, outcome.name.lower()).inc(count)
        for record in bad:
            await self._on_undecodable(record)
        if self._fold.claim > self._writer.epoch:
            if self._end is None:
                log.error("another process claimed the partition", topic=self.tp.topic, partition=self.tp.partition)
                metrics.TAKEN.labels(self.tp.topic).inc()
            self._end = self._end or self._taken()  # what is under way is judged one by one

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    # The end

    def _taken(self) -> PartitionTaken:
        return PartitionTaken(f"{self.tp.topic}[{self.tp.partition}] has a new owner since offset {self._fold.claim}")

    def _closing(self) -> None:
        self._end = PartitionNotOpen(f"{self.tp.topic}[{self.tp.partition}] is being closed")

    def _broke(self, error: BaseException) -> None:
        if not self._stopped.is_set():
            self._stopped.set()
            log.error("partition state broke", topic=self.tp.topic, partition=self.tp.partition, error=repr(error))
            self._finish(error)
            self._end = PartitionBroken(f"{self.tp.topic}[{self.tp.partition}]: {error!r}")

    def _finish(self, error: BaseException) -> None:
        for done in list(self._puts):
            if not done.done():
                done.set_exception(error)
        self._end = error if isinstance(error, Exception) else PartitionBroken(repr(error))

    def _forget(self, done: asyncio.Future[None]) -> None:
        self._puts.discard(done)

    def _repaired(self, done: asyncio.Future[None]) -> None:
        self._repairs.discard(done)
        with contextlib.suppress(asyncio.CancelledError):
            done.exception()  # what ends the partition is told to the next put
