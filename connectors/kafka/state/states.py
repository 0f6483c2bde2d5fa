"""All partitions of one state topic that this process holds: opening, reading, writing, closing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import structlog

from connectors.health import Health
from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topic_partition import TP

from . import metrics
from .envelope import CLAIM_KEY, Source
from .fold import Fold
from .partition import OnUndecodable, OpenPartition, PartitionNotOpen
from .restore import OutsideLog, StateLog, Undecodable
from .store import Room, Store, StoreDamaged
from .store_writes import StoreWrites

log = structlog.get_logger(__name__)

RESTORES_AT_ONCE = 4
"""Folding is Python: more threads would only share one core, and hold more batches in memory."""
CLOSE_WAIT_S = 4.0
"""Below `KafkaSettings.in_flight_wait_s`, after which a revoke no longer waits for us."""
LOOK_EVERY_S = 600.0
"""Well below `min.compaction.lag.ms` of the topic, an hour: a stale record must be found while the good one under it is
still there."""
DELETE_RETENTION_S = 86_400.0
"""Kafka's default of `delete.retention.ms`."""
_OF_RETENTION = 0.5
"""Share of the retention after which a store is old: clocks differ, and reading takes time."""


class _Restored(NamedTuple):
    store: Store
    fold: Fold
    records: int
    undecodable: list[Undecodable]


class PartitionStates:
    """One per process and topic. All methods belong to one event loop.

    Args:
        topic: compacted, with `min.compaction.lag.ms` of an hour (`schemas.topics`).
        settings: how Kafka is reached.
        publisher: started; writes to the topic. No other may write for this process.
        directory: of this process alone; each partition gets a folder in it.
        owner: name of this process in its CLAIMs, for people who read the log.
        delete_retention_s: `delete.retention.ms` of the topic. Deletions older than that are gone from the log, so a
            store that missed them cannot be resumed.
        look_every_s: how often each open partition looks for stale records of former owners.
        room: memory and files; shared with other `PartitionStates` where given.
        now_ms: wall clock, epoch milliseconds UTC.
    """

    def __init__(
        self,
        topic: str,
        settings: KafkaSettings,
        publisher: DurablePublisher,
        *,
        directory: Path,
        owner: str = "commlayer",
        delete_retention_s: float = DELETE_RETENTION_S,
        look_every_s: float = LOOK_EVERY_S,
        room: Room | None = None,
        now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._topic = topic
        self._publisher = publisher
        self._directory = directory
        self._owner = owner
        self._on_undecodable: OnUndecodable = _log_undecodable
        self._delete_retention_s = delete_retention_s
        self._look_every_s = look_every_s
        self._looking: asyncio.Task[None] | None = None
        self._room = room or Room()
        self._now_ms = now_ms
        self._reader = StateLog(topic, settings)
        self._open: dict[int, OpenPartition] = {}
        self._opening: dict[int, float] = {}
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)  # one opens or closes it at a time
        self._restores = ThreadPoolExecutor(RESTORES_AT_ONCE, thread_name_prefix=f"{topic}-restore")
        self._threads = ThreadPoolExecutor(2, thread_name_prefix=f"{topic}-store")
        self._writes = StoreWrites(self._threads)

    def tell_undecodable(self, to: OnUndecodable) -> None:
        """Whom to tell of each record that is none of ours, to write it to `comms.dead`; awaited, and told again
        whenever the partition is read from the start. To be called before any is opened; until then they are only
        logged."""
        self._on_undecodable = to

    @property
    def topic(self) -> str:
        """The state topic."""
        return self._topic

    @property
    def partitions(self) -> frozenset[int]:
        """Those that are open."""
        return frozenset(self._open)

    async def start(self) -> None:
        """Show the gauges, and begin to look for stale records."""
        metrics.OPEN.labels(self._topic).set_function(lambda: len(self._open))
        self._looking = asyncio.create_task(self._look(), name=f"state {self._topic} look")

    async def stop(self) -> None:
        """Close everything."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)
        await asyncio.gather(*(self.close(partition) for partition in list(self._open)))
        self._restores.shutdown(wait=False, cancel_futures=True)
        self._threads.shutdown(wait=False)

    async def open(self, partition: int) -> None:
        """Claim the partition, bring its store up to the claim, and serve it. May take long; cancel it at will. Call it
        only under a valid lease: it takes the partition away from whoever had it.

        Raises:
            ValueError: it is open already.
            Exception: of Kafka or the disk; the process must end.
        """
        async with self._turns[partition]:
            if partition in self._open:
                raise ValueError(f"{self._topic}[{partition}] is open already")
            await self._claim_and_restore(partition)

    async def close(self, partition: int, *, wait_s: float = CLOSE_WAIT_S) -> None:
        """Wait up to `wait_s` for puts under way, write the store to files and let go. What was not done by then raises
        PartitionNotOpen in its put. Nothing happens when the partition is not open."""
        async with self._turns[partition]:
            opened = self._open.pop(partition, None)
            if opened is not None:
                await opened.close(wait_s)

    def get(self, partition: int, key: bytes) -> bytes | None:
        """What was put last and acknowledged, or None. A put that did not return yet may show already.

        Raises:
            PartitionNotOpen: it is not served here.
            Exception: of the disk; the process must end, and the next open reads the log again.
        """
        return self._served(partition).store.get(key)

    def get_all(self, partition: int, keys: list[bytes]) -> list[bytes | None]:
        """The same for several keys, in their order."""
        return self._served(partition).store.get_all(keys)

    def scan(self, partition: int, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """All entries whose key begins so, in the order of their keys, as they are now. They are all read at once: keep
        it to the entries of one person. Raises as `get` does."""
        return iter(self._served(partition).store.scan(prefix))

    def page(self, partition: int, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """At most so many entries from this key on. Raises as `get` does."""
        return self._served(partition).store.page(start, limit)

    def is_in_flight(self, partition: int, key: bytes) -> bool:
        """A put of this key was begun and did not return yet."""
        return self._served(partition).is_in_flight(key)

    async def put(
        self,
        partition: int,
        entries: Mapping[bytes, bytes | None],
        *,
        source: tuple[str, int, int] | None = None,
    ) -> None:
        """Write entries (None deletes), durably in Kafka, then in the store; then it returns. Puts may run at the same
        time, any number of them; of one key, the one begun last wins. The entries are not written as one: a crash may
        leave the first of them, without the source; deletions come first. Keys must not begin with a zero byte.

        Args:
            source: (topic, partition, offset) of the record that these entries come from.

        Raises:
            PartitionTaken: a new owner came first; the entries are in no fold, though the first of several may be.
            PartitionNotOpen: not open, or closed before it was done.
            PublishRejected: Kafka does not take the record (size, rights). It and all later puts failed.
            PartitionBroken: an earlier put failed.
            ValueError: a key that is not allowed; nothing was written.
            Exception: of the disk or the publisher; the process must end.
        """
        where = None if source is None else (Source(source[0], source[1]), source[2])
        await self._served(partition).put(entries, where)

    def source_position(self, partition: int, topic: str, source_partition: int | None = None) -> int | None:
        """The highest offset of the source topic's partition (the same number by default) of which a put returned. Puts
        end in any order: what lies below it need not be folded in."""
        return self._served(partition).source_position(
            topic, partition if source_partition is None else source_partition
        )

    def health(self) -> Health:
        """For the readiness check: not ready while partitions are being restored."""
        if not self._opening:
            return Health(True)
        waiting_s = time.monotonic() - min(self._opening.values())
        return Health(False, f"restoring {len(self._opening)} partitions of {self._topic} for {waiting_s:.0f} s")

    def _served(self, partition: int) -> OpenPartition:
        try:
            return self._open[partition]
        except KeyError:
            raise PartitionNotOpen(f"{self._topic}[{partition}] is not open") from None

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(self._look_every_s)
            for opened in self._open.values():
                opened.look()

    # Restoring

    async def _claim_and_restore(self, partition: int) -> None:
        began = self._opening[partition] = time.monotonic()
        try:
            at_ms = self._now_ms()
            claim = await self._publisher.publish(self._topic, self._owner.encode(), key=CLAIM_KEY, partition=partition)
            restored = await self._restored(partition, claim.offset, at_ms)
            opened = OpenPartition(
                TP(self._topic, partition),
                restored.store,
                restored.fold,
                epoch=claim.offset,
                publisher=self._publisher,
                reader=self._reader,
                writes=self._writes,
                threads=self._threads,
                on_undecodable=self._on_undecodable,
                now_ms=self._now_ms,
            )
            try:
                for record in restored.undecodable:
                    await self._on_undecodable(record)
            except BaseException:
                await opened.close(0)
                raise
            self._open[partition] = opened
            opened.repair()
        finally:
            del self._opening[partition]
        seconds = time.monotonic() - began
        metrics.RESTORED.labels(self._topic).inc(restored.records)
        metrics.RESTORE_SECONDS.labels(self._topic).observe(seconds)
        log.info(
            "partition state restored",
            topic=self._topic,
            partition=partition,
            records=restored.records,
            seconds=round(seconds, 2),
        )

    async def _restored(self, partition: int, claim: int, at_ms: int) -> _Restored:
        stopped = threading.Event()
        work = asyncio.get_running_loop().run_in_executor(
            self._restores, self._restore, partition, claim, at_ms, stopped
        )
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stopped.set()
            outcome = (await asyncio.gather(work, return_exceptions=True))[0]
            if isinstance(outcome, _Restored):
                await asyncio.to_thread(outcome.store.close)
            raise

    def _restore(self, partition: int, claim: int, at_ms: int, stopped: threading.Event) -> _Restored:
        """In a thread: the store, brought up to our claim."""
        path = self._directory / self._topic / str(partition)
        try:
            return self._resume(path, partition, claim, at_ms, stopped)
        except StoreDamaged as error:
            reason, why = "damaged", str(error)
        except OutsideLog as error:
            reason, why = "outside the log", str(error)
        except _TooOld as error:
            reason, why = "too old", str(error)
        log.warning("local state is read again from the log", topic=self._topic, partition=partition, why=why)
        metrics.REBUILT.labels(self._topic, reason).inc()
        Store.destroy(path)
        return self._resume(path, partition, claim, at_ms, stopped)

    def _resume(self, path: Path, partition: int, claim: int, at_ms: int, stopped: threading.Event) -> _Restored:
        store = Store(path, self._room)
        try:
            fresh = store.reflects.position == 0
            age_s = (at_ms - store.reflects.at_ms) / 1000
            if not fresh and age_s > self._delete_retention_s * _OF_RETENTION:
                raise _TooOld(
                    f"{path}: it is {age_s:.0f} s old, and deletions are kept {self._delete_retention_s:.0f} s"
                )
            fold = store.reflects.fold()
            count, bad = self._reader.catch_up(
                partition, store, fold, claim + 1, at_ms=at_ms, stopped=stopped, fresh=fresh
            )
        except BaseException:
            store.close()
            raise
        return _Restored(store, fold, count, bad)


class _TooOld(Exception):
    """The store may have missed deletions that are no longer in the log."""


async def _log_undecodable(record: Undecodable) -> None:
    log.error(
        "a record of the state topic is none of ours, passed over",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        why=record.why,
    )
