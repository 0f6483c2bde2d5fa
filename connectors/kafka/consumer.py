"""The consumer under Faust's agents, with the defects of the stock one corrected.

An agent takes its records with `stream.noack().events()`, hands them to the stage and returns at once; the stage calls
`event.ack()` for each when it is finished, in any order, on the main loop. What the stage may ask of it:

- `outstanding(tp)`, `partitions`, `serves(tp)`: what is delivered and assigned;
- `generation`: counts assignments; a record carries the one it was delivered in as `event.message.generation_id`;
- `holds(generation)`: this assignment is still ours and the lease is valid: ask right before acting;
- `lease`: see lease.py;
- `read_committed()`: offsets and metadata that the group holds, for the restore;
- `on_assigned`, `on_revoked`, `on_released`, `on_committed`, `on_loss`: see hooks.py (before the app runs there is no
  consumer yet: register on `app.hooks`).

What differs from stock (numbers as in tests/hazards): the ledger of delivered offsets instead of arithmetic on acked
ones (1); the finished prefix is committed before a partition's state is dropped (4); windows computed before each
fetch instead of pause, resume and queue pressure (5, 6, 8); a stop never waits for unfinished records (7); offset and
metadata go out together by one path; a position that the log no longer holds is reported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog
from aiokafka.errors import OffsetOutOfRangeError
from faust.transport.drivers import aiokafka as driver
from mode import Service

from . import metrics
from .commit_book import Commit, CommitBook
from .consumer_thread import ConsumerThread, RebalanceListener
from .hooks import AssignedCallback, CommittedCallback, Loss, LossCallback, PartitionsCallback
from .lease import Lease
from .ledger import NO_GENERATION, Ledger
from .options import options_of
from .start_position import LogBounds, start_position
from .topic_partition import TP

log = structlog.get_logger(__name__)

POLL_S = 0.1
"""Longest wait of one fetch. A partition that gets room meanwhile is looked at when it ends, so not longer."""

YIELD_EVERY = 64
"""Records delivered before the agents get a turn: a few milliseconds of work."""

OBSERVE_EVERY_S = 0.5
"""How often the loop reports that it turns and the gauges are set."""

FINAL_COMMIT_S = 5.0
"""How long a revoke or a stop waits for its commit. With the broker away it is in vain, and a stop has 15 s in all."""

TRUNCATION_CHECKS = 3
"""How often a log must be found shorter than what was committed before it is believed: a new leader may for a moment
not know how far its log is replicated."""


class Rewound(Exception):
    """A log ends below the position that was read up to: its topic was deleted and made again under a running worker.
    The process ends; the next start decides by the committed offset."""


class Consumer(driver.Consumer):  # type: ignore[misc]  # Faust's classes are untyped
    """See the module. Made by Faust when the app starts, inside its loop."""

    RebalanceListener = RebalanceListener
    _thread: ConsumerThread

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError("the consumer exists only while the app runs; register callbacks on app.hooks") from None
        app = args[0].app
        self.options = options_of(app)
        self.hooks = self.options.hooks
        self._ledger = Ledger()
        self._book = CommitBook()
        self._assigned: frozenset[TP] = frozenset()
        self._generation = NO_GENERATION
        self._group_generation = -1
        self._may_flow_in = NO_GENERATION
        self._commit_lock = asyncio.Lock()
        self._let_go_lock = asyncio.Lock()
        self._room_freed = asyncio.Event()
        self._commits_fail = False
        self._restore: asyncio.Task[None] | None = None
        super().__init__(*args, **kwargs)
        self._acked = _FinishedByStreams(self._finish_now)
        self._acked_index = _Nothing()
        self._unacked_messages = _Nothing()  # stock keeps weak references to dequeued messages; the ledger knows more
        self.flow_active = False

    def _new_consumer_thread(self) -> ConsumerThread:
        thread = ConsumerThread(self, loop=self.loop, beacon=self.beacon)
        thread.lease = self.options.lease
        thread.fetch_max_wait_ms = self.options.settings.fetch_max_wait_ms
        return thread

    # What a stage asks ------------------------------------------------------------------------------------------------

    @property
    def lease(self) -> Lease:
        """Whether this process may still act at all."""
        return self.options.lease

    @property
    def generation(self) -> int:
        """Number of the present assignment; grows with every rebalance, and between two once more."""
        return self._generation

    @property
    def partitions(self) -> frozenset[TP]:
        """The assigned partitions, served or not; empty between two assignments."""
        return self._assigned

    def serves(self, tp: TP) -> bool:
        """Records of this partition are delivered here: assigned, restored, and its anchor is here as well."""
        return self.options.windows.served(tp, self._ledger)

    def holds(self, generation: int) -> bool:
        """What was delivered in `generation` may still be acted on. Ask with no await between this and the act."""
        return generation == self._generation and self.lease.valid()

    def outstanding(self, tp: TP) -> int:
        """Records of this partition that were delivered and are not finished."""
        return self._ledger.outstanding(tp)

    @property
    def flowing(self) -> bool:
        """Restored and delivering, even if nothing is assigned."""
        return bool(self.flow_active)

    async def read_committed(self) -> dict[TP, Commit]:
        """Offset and metadata that the group holds for the assigned partitions; those never committed are absent. One
        request; waits while the broker is away."""
        return await self._thread.committed(self._assigned)

    def on_assigned(self, callback: AssignedCallback) -> AssignedCallback:
        """See hooks.py."""
        return self.hooks.on_assigned(callback)

    def on_revoked(self, callback: PartitionsCallback) -> PartitionsCallback:
        """See hooks.py."""
        return self.hooks.on_revoked(callback)

    def on_released(self, callback: PartitionsCallback) -> PartitionsCallback:
        """See hooks.py."""
        return self.hooks.on_released(callback)

    def on_committed(self, callback: CommittedCallback) -> CommittedCallback:
        """See hooks.py."""
        return self.hooks.on_committed(callback)

    def on_loss(self, callback: LossCallback) -> LossCallback:
        """See hooks.py."""
        return self.hooks.on_loss(callback)

    # Assignment -------------------------------------------------------------------------------------------------------

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Called by the consumer thread; heartbeats stand still until it returns, so the restore comes later."""
        if self.app.should_stop:
            return
        self._next_generation()
        self._assigned = frozenset(TP(*tp) for tp in assigned)
        self._group_generation = generation_id
        metrics.REBALANCES.inc()
        log.info("partitions assigned", partitions=len(assigned), generation=self._generation)
        await self._or_crash(super().on_partitions_assigned(assigned, self._generation))

    async def restore_and_flow(self) -> bool:
        """Step 1 of hooks.py, then read on from the committed offsets. False if a rebalance came in between, or the
        process stops."""
        generation = self._generation
        if self.app.should_stop:
            return False
        self._restore = asyncio.ensure_future(self._begin(generation))
        try:
            await asyncio.wait([self._restore])
            if self._restore.cancelled():
                return False
            self._restore.result()
        finally:
            self._restore = None
        return self.flow_active

    async def _begin(self, generation: int) -> None:
        await self.app.on_rebalance_complete.send()
        await self.hooks.assigned(self._assigned, generation)
        committed, positions = await self._positions()
        if generation == self._generation and await self._thread.seek_all(positions):
            self._ledger.begin(generation, positions)
            self._book.begin(committed)
            self._may_flow_in = generation
            self.app.flow_control.resume()
            self.resume_flow()
            log.info("partitions served", partitions=len(positions), generation=generation)

    async def _positions(self) -> tuple[dict[TP, Commit], dict[TP, int]]:
        committed, bounds = await asyncio.gather(
            self._thread.committed(self._assigned), self._thread.bounds(self._assigned)
        )
        positions = {}
        for tp in self._assigned:
            position = committed[tp].offset if tp in committed else None
            positions[tp] = await self._position(tp, position, bounds[tp])
        return committed, positions

    async def _position(self, tp: TP, position: int | None, bounds: LogBounds) -> int:
        start = start_position(tp, position, bounds)
        for _ in range(TRUNCATION_CHECKS - 1):
            if start.loss is None or start.loss.reason != "truncated":
                break
            await asyncio.sleep(1.0)
            start = start_position(tp, position, (await self._thread.bounds([tp]))[tp])
        if start.loss is not None:
            await self._report(start.loss)
        return start.offset

    async def _report(self, loss: Loss) -> None:
        log.error(
            "records are gone from the log that were not processed"
            if loss.count
            else "the log ends below what was processed, so it is another one: read from its start",
            topic=loss.tp.topic,
            partition=loss.tp.partition,
            committed=loss.committed,
            first_lost=loss.first,
            read_on_at=loss.next,
            at_most=loss.count,
        )
        metrics.LOST.labels(loss.tp.topic).inc(loss.count)
        await self.hooks.lost(loss)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Called by the consumer thread before it joins the group again."""
        await self._or_crash(self.let_go())
        if not self.app.should_stop:
            await self._or_crash(super().on_partitions_revoked(revoked))

    async def let_go(self) -> None:
        """Steps 3 to 5 of hooks.py. Without effect where nothing is held."""
        async with self._let_go_lock:
            self.stop_flow()
            self.app.flow_control.suspend()
            self.app.flow_control.clear()
            if self._restore is not None:
                self._restore.cancel()
                await asyncio.wait([self._restore])
            held = self._assigned
            if self._ledger.generation != NO_GENERATION:
                await self._finish_what_is_under_way(held)
                await self._commit_finally()
            self._next_generation()
            self._assigned = frozenset()
            if held:
                await self.hooks.released(held)

    async def _finish_what_is_under_way(self, held: frozenset[TP]) -> None:
        try:
            async with asyncio.timeout(self.options.settings.in_flight_wait_s):
                await self.hooks.revoked(held)
        except TimeoutError:
            log.warning("work under way was not waited for any longer", seconds=self.options.settings.in_flight_wait_s)

    async def _commit_finally(self) -> None:
        try:
            async with asyncio.timeout(FINAL_COMMIT_S):
                await self.commit()
        except TimeoutError:
            log.warning("partitions are let go without a commit", seconds=FINAL_COMMIT_S)

    def _next_generation(self) -> None:
        self._ledger.end()
        self._generation += 1
        self._may_flow_in = NO_GENERATION
        self.app.consumer_generation_id = self._generation  # streams skip what carries another one

    async def _or_crash(self, work: Coroutine[Any, Any, None]) -> None:
        """aiokafka logs what a rebalance callback raises, and goes on; then nobody would own what it left undone."""
        try:
            await work
        except Exception as error:
            await self.crash(error)

    # Flow -------------------------------------------------------------------------------------------------------------

    def stop_flow(self) -> None:
        """Deliver nothing until the positions were sought anew: records fetched and not delivered are dropped."""
        self._may_flow_in = NO_GENERATION
        super().stop_flow()

    def resume_flow(self) -> None:
        """Has no effect outside `restore_and_flow`: Faust also calls it while another rebalance is under way."""
        if self._may_flow_in == self._generation:
            super().resume_flow()

    async def perform_seek(self) -> None:
        """Faust's; `restore_and_flow` does it."""

    def on_buffer_full(self, tp: TP) -> None:
        """Faust's queue pressure; windows bound what is delivered."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Faust's queue pressure; windows bound what is delivered."""

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                await self._pump()
        except (asyncio.CancelledError, *self.consumer_stopped_errors):
            if not self.app.should_stop:
                raise

    async def _pump(self) -> None:
        if not self.flow_active:
            await self.can_resume_flow.wait()
            return
        generation = self._generation
        self._room_freed.clear()
        rooms = self.options.windows.rooms(self._ledger)
        if not rooms:
            await self._wait_for_room()
            return
        try:
            batch = await self._thread.take(rooms, self.options.settings.max_poll_records, POLL_S)
        except OffsetOutOfRangeError as error:
            await self._skip_what_is_gone(error.args[0], generation)
            return
        metrics.FETCHES.labels("records" if batch else "nothing").inc()
        if batch:
            await self._deliver(batch, generation)

    async def _wait_for_room(self) -> None:
        self._thread.keep_membership()
        try:
            async with asyncio.timeout(POLL_S):
                await self._room_freed.wait()
        except TimeoutError:
            pass

    async def _skip_what_is_gone(self, positions: Mapping[TP, int], generation: int) -> None:
        """The log's start moved past a position while a partition was blocked."""
        for tp, position in positions.items():
            tp = TP(*tp)
            bounds = (await self._thread.bounds([tp]))[tp]
            start = await self._position(tp, position, bounds)
            if start < position:
                raise Rewound(f"{tp.topic}[{tp.partition}] ends at {bounds.end}, below the position {position}")
            if generation == self._generation:
                await self._thread.seek_all({tp: start})

    async def _deliver(self, batch: Mapping[TP, list[Any]], generation: int) -> None:
        """Hand the records to the agents' queues. Never waits for an agent: what a partition may have in a queue is
        bounded by its window."""
        app, ledger, index = self.app, self._ledger, self.app.topics._tp_index
        since_yield = 0
        for tp, records in batch.items():
            queues = [channel.queue for channel in index[tp]]
            if not queues:
                raise RuntimeError(f"no agent reads {tp.topic}, which is subscribed")
            metrics.DELIVERED.labels(tp.topic).inc(len(records))
            for record in records:
                if generation != self._generation or not self.flow_active:
                    return
                message = self._to_message(tp, record)
                message.refcount = len(queues)
                ledger.deliver(tp, record.offset)
                for queue in queues:
                    queue.force_put_nowait(app.create_event(record.key, record.value, record.headers, message))
                since_yield += 1
                if since_yield == YIELD_EVERY:
                    since_yield = 0
                    await asyncio.sleep(0)

    # Finish and commit ------------------------------------------------------------------------------------------------

    def ack(self, message: Any) -> bool:
        """What `event.ack()` ends in: the record is finished. False if it does not count (any more)."""
        message.acked = True
        return self._finish(TP(*message.tp), message.offset, message.generation_id)

    def _finish_now(self, tp: TP, offset: int) -> bool:
        return self._finish(tp, offset, self._generation)

    def _finish(self, tp: TP, offset: int, generation: int) -> bool:
        if self.crashed:  # a stream closed by its agent's exception acks the record that caused it
            return False
        finished = self._ledger.finish(tp, offset, generation)
        if finished:
            self._room_freed.set()
        return finished

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit the finished prefix and its metadata, all partitions together, wherever that differs from what the
        broker has confirmed. True if something was committed. One at a time."""
        async with self._commit_lock:
            if self.crashed or self._ledger.generation == NO_GENERATION:
                return False
            commits = self._book.due(self._ledger, self.hooks.position_meta)
            if not commits:
                return False
            confirmed = await self._thread.commit_together(commits, self._group_generation)
            self._note_outcome(confirmed)
            if confirmed:
                self._book.confirm(commits)
                for tp, commit in commits.items():
                    self.hooks.committed(tp, commit.offset)
            return confirmed

    def _note_outcome(self, confirmed: bool) -> None:
        (metrics.COMMITS if confirmed else metrics.COMMIT_FAILURES).inc()
        if confirmed == self._commits_fail:
            self._commits_fail = not confirmed
            if confirmed:
                log.info("commits succeed again")
            else:
                log.warning("commits fail; finished records may be delivered again")

    async def wait_empty(self) -> None:
        """Stock waits here for every record delivered, for ever. A stop calls `let_go`."""

    async def on_stop(self) -> None:
        """Called by Faust before the thread is stopped and leaves the group."""
        if not self.crashed:
            await self.let_go()
        self.lease.lose()

    # Watching ---------------------------------------------------------------------------------------------------------

    @Service.task  # type: ignore[untyped-decorator]  # mode is untyped
    async def _observe(self) -> None:
        while not self.should_stop:
            self.lease.loop_turned()
            due = self.loop.time() + OBSERVE_EVERY_S
            await asyncio.sleep(OBSERVE_EVERY_S)
            metrics.LOOP_LAG.set(self.loop.time() - due)
            metrics.LEASE_AGE.set(min(self.lease.age_s(), 1e9))
            self._set_gauges()
            failure = self._thread.failure()
            if failure is not None:
                log.error("kafka refused this consumer", error=repr(failure))
                await self.crash(failure)

    def _set_gauges(self) -> None:
        outstanding: dict[str, int] = {}
        served = 0
        for tp in self._ledger.partitions:
            outstanding[tp.topic] = outstanding.get(tp.topic, 0) + self._ledger.outstanding(tp)
            served += self.serves(tp)
        for topic, count in outstanding.items():
            metrics.OUTSTANDING.labels(topic).set(count)
        metrics.ASSIGNED.labels("yes").set(served)
        metrics.ASSIGNED.labels("no").set(len(self._assigned) - served)

    async def verify_all_partitions_active(self) -> None:
        """Stock's livelock alarm, which takes a partition blocked on purpose for a fault."""


class _Nothing:
    """In place of sets that Faust's streams keep: everything that is put in is forgotten."""

    def add(self, item: object) -> None:
        pass

    def discard(self, item: object) -> None:
        pass

    def __contains__(self, item: object) -> bool:
        return False

    def __len__(self) -> int:
        return 0

    def __getitem__(self, key: object) -> _Nothing:
        return self

    def pop(self, key: object, default: object = None) -> object:
        return default


class _FinishedByStreams:
    """In place of Faust's lists of acked offsets. A stream that acks by itself (without `noack()`) appends to them
    directly, past `Consumer.ack`."""

    def __init__(self, finish: Callable[[TP, int], bool]) -> None:
        self._finish = finish

    def __getitem__(self, tp: Any) -> _FinishedOfPartition:
        return _FinishedOfPartition(self._finish, TP(*tp))

    def pop(self, key: object, default: object = None) -> object:
        return default


class _FinishedOfPartition:
    def __init__(self, finish: Callable[[TP, int], bool], tp: TP) -> None:
        self._finish, self._tp = finish, tp

    def append(self, offset: int) -> None:
        self._finish(self._tp, offset)
