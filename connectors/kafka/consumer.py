"""The consumer under Faust's agents, with the defects of the stock one corrected.

An agent takes its records with `stream.noack().events()` (or by the batch, see received.py), hands them to the stage
and returns at once; the stage calls `event.ack()` for each when it is finished, in any order, on the main loop. What
the stage may ask of it:

- `partitions`, `serves(tp)`, `outstanding(tp)`: what is served here, and delivered and unfinished;
- `generation`: counts assignments; a record carries the one it was delivered in as `event.message.generation_id`;
- `holds(generation)`: this assignment is still ours and the lease is valid: ask right before acting;
- `lease`: see lease.py;
- `read_committed()`: offsets and metadata that the group holds, for the restore;
- `ends(partitions)`, `finished_to(tp, end)`: whether a log was worked off up to where it ended;
- `unread(partitions)`: how much lies behind what was taken.

Before the app runs there is no consumer; callbacks (hooks.py) are registered on `app.hooks`.

What differs from stock (numbers as in tests/hazards): the ledger of delivered offsets instead of arithmetic on acked
ones (1); the finished prefix is committed before a partition's state is dropped (4); windows computed before each
fetch instead of pause, resume and queue pressure (5, 6, 8); a stop never waits for unfinished records (7); offset and
metadata go out together by one path; a position that the log no longer holds is reported.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Coroutine, Iterable, Mapping
from functools import partial
from typing import Any

import structlog
from faust.transport.drivers import aiokafka as driver
from mode import Service

from connectors.health import Health

from . import metrics, retention
from .agent_queues import AgentQueues
from .commit_book import Commit
from .commit_path import CommitPath
from .consumer_thread import ConsumerThread, RebalanceListener
from .delivery import Delivery
from .fetch_wait import FetchWait
from .finished import noted_as_finished, stage_note
from .lease import Lease
from .ledger import NO_GENERATION, Ledger
from .log_positions import LogPositions
from .options import options_of
from .parked import PARKED_BACKOFF_S
from .retention import RetentionWatch
from .stream_sets import AckedOffsets, Forgetting
from .topic_partition import TP
from .watch import FetchWatch, set_gauges

log = structlog.get_logger(__name__)

OBSERVE_EVERY_S = 0.5
"""How often the loop reports that it turns and the gauges are set."""

FINAL_COMMIT_S = 4.0
"""How long a revoke or a stop waits for its commit. With the broker away it is in vain, and a stop has 15 s in all."""


HAND_OVER_S = 0.05
"""Records that the thread has taken reach the ledger within one turn of the loop; this is many."""


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
        self._commits = CommitPath(self._ledger, self.hooks, self._send_commit)
        self._served: frozenset[TP] = frozenset()
        self._unserved = 0
        self._generation = NO_GENERATION
        self._group_generation = -1
        self._between = True
        self._let_go_lock = asyncio.Lock()
        self._restore: asyncio.Task[None] | None = None
        super().__init__(*args, **kwargs)
        self._fetch_watch = FetchWatch()
        self._positions = LogPositions(self._thread, self.hooks)
        self._retention = RetentionWatch(self._thread, now_ms=lambda: time.time_ns() // 1_000_000)
        queues = AgentQueues(
            app,
            batches=self.hooks.agents_take_batches,
            to_message=self._to_message,
            generation=lambda: self._generation,
            finish=self._finish,
        )
        self._delivery = Delivery(
            self._thread,
            self._ledger,
            self.options.windows,
            self._positions,
            queues.put,
            most=self.options.settings.max_poll_records,
        )
        self._acked = AckedOffsets(self._finish_now)
        self._acked_index = self._unacked_messages = Forgetting()
        self.flow_active = False

    def _new_consumer_thread(self) -> ConsumerThread:
        thread = ConsumerThread(self, loop=self.loop, beacon=self.beacon)
        thread.lease = self.options.lease
        settings = self.options.settings
        thread.fetch_wait = FetchWait(
            short_ms=settings.fetch_max_wait_ms, long_ms=settings.calm_fetch_wait_ms, in_time_s=PARKED_BACKOFF_S
        )
        thread.metadata_max_age_s = settings.metadata_max_age_s
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
        """The partitions served here: assigned, and their anchors as well. Empty between two assignments."""
        return self._served

    def serves(self, tp: TP) -> bool:
        """The partition is one of `partitions`."""
        return tp in self._served

    def holds(self, generation: int) -> bool:
        """What was delivered in `generation` may still be acted on. Ask with no await between this and the act."""
        return generation == self._generation and self.lease.valid()

    def outstanding(self, tp: TP) -> int:
        """Records of this partition that were delivered and are not finished."""
        return self._ledger.outstanding(tp)

    def held(self, tp: TP) -> tuple[int, int]:
        """The offset that may be committed, and how many records were delivered at or above it."""
        partition = self._ledger.partitions.get(tp)
        return (0, 0) if partition is None else (partition.committable(), partition.held())

    @property
    def flowing(self) -> bool:
        """Restored and delivering, even if nothing is assigned."""
        return bool(self.flow_active)

    def retention_health(self) -> Health:
        """Whether what waits is far from leaving the log; see retention.py."""
        return self._retention.health()

    def sharing_out_health(self) -> Health:
        """Whether what is read here is in somebody's hands; see sharing_out.py."""
        return self._thread.sharing_out_health()

    def fetches(self) -> Health:
        """Liveness of the client; see watch.py."""
        return self._fetch_watch.health()

    async def ends(self, partitions: Collection[TP]) -> dict[TP, int]:
        """Where the logs of these partitions end now. Waits while the broker is away."""
        return {tp: bounds.end for tp, bounds in (await self._thread.bounds(partitions)).items()}

    async def unread(self, partitions: Collection[TP]) -> dict[TP, tuple[int, int]]:
        """The offset that is taken next and the end of the log, for each of these partitions that is assigned. One
        request per broker. Waits while the broker is away."""
        return await self._thread.unread(partitions)

    async def finished_to(self, tp: TP, end: int) -> bool:
        """Every record of a served partition below the offset `end` is finished. For logs that may end in something
        that is no record, such as the marker of a transaction."""
        if tp not in self._ledger.partitions:
            return False
        if self._ledger.committable(tp) >= end:
            return True
        position = await self._thread.position(tp)
        await asyncio.sleep(HAND_OVER_S)
        return position is not None and position >= end and self._ledger.outstanding(tp) == 0

    async def read_committed(self) -> dict[TP, Commit]:
        """Offset and metadata that the group holds for the served partitions; those never committed are absent. One
        request; waits while the broker is away."""
        committed = await self._thread.committed(self._served)
        return {tp: Commit(commit.offset, stage_note(commit.metadata)) for tp, commit in committed.items()}

    # Assignment -------------------------------------------------------------------------------------------------------

    async def on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        """Called by the consumer thread; heartbeats stand still until it returns, so the restore comes later."""
        if self.app.should_stop:
            return
        self.stop_flow()
        self._next_generation()
        self._served = self.options.windows.served({TP(*tp) for tp in assigned})
        self._unserved = len(assigned) - len(self._served)
        self._group_generation = generation_id
        self._between = False
        metrics.REBALANCES.inc()
        log.info("partitions assigned", served=len(self._served), without_anchor=self._unserved)
        await self._or_crash(super().on_partitions_assigned(assigned, self._generation))

    async def restore_and_flow(self) -> bool:
        """Step 1 of hooks.py, then read on from the committed offsets. False if a rebalance came in between, or the
        process stops."""
        if self._between or self.app.should_stop:
            return False
        restore = self._restore = asyncio.ensure_future(self._begin(self._generation))
        try:
            await asyncio.wait([restore])
        finally:
            restore.cancel()
            self._restore = None
        if not restore.cancelled():
            restore.result()
        return self.flowing

    async def _begin(self, generation: int) -> None:
        await self.app.on_rebalance_complete.send()
        await self.hooks.assigned(self._served, generation)
        committed, positions = await self._positions.at_start(self._served)
        sought = await self._thread.seek_all(positions)
        if sought and generation == self._generation:
            # Where reading begins elsewhere, the log is not what it was when that was noted.
            believed = {tp: commit for tp, commit in committed.items() if positions[tp] == commit.offset}
            finished = {tp: noted_as_finished(*commit) for tp, commit in believed.items()}
            self._ledger.begin(generation, positions, finished)
            self._commits.begin(committed)
            self.app.flow_control.resume()
            self.resume_flow()
            log.info("records flow", partitions=len(positions), generation=generation)

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
            self._between = True
            held = self._served
            try:
                if self._ledger.generation != NO_GENERATION:
                    await self._finish_what_is_under_way(held)
                    await self._commit_finally()
            finally:
                self._next_generation()
                self._served = frozenset()
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
        self.app.consumer_generation_id = self._generation  # streams skip what carries another one

    async def _or_crash(self, work: Coroutine[Any, Any, None]) -> None:
        """aiokafka logs what a rebalance callback raises, and goes on; then nobody would own what it left undone."""
        try:
            await work
        except Exception as error:
            await self.crash(error)

    # Flow -------------------------------------------------------------------------------------------------------------

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Called by Faust with the topics of all agents. Records are delivered as they are, undecoded."""
        for channel in self.app.topics:
            if channel.value_type not in (None, bytes):
                raise TypeError(f"topic {channel} must be declared with value_type=bytes: stages decode for themselves")
        await super().subscribe(topics)

    async def perform_seek(self) -> None:
        """Faust's; `restore_and_flow` does it."""

    def on_buffer_full(self, tp: TP) -> None:
        """Faust's queue pressure; windows bound what is delivered."""

    def on_buffer_drop(self, tp: TP) -> None:
        """Faust's queue pressure; windows bound what is delivered."""

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self.should_stop or fetcher.should_stop):
                if self.flow_active:
                    await self._delivery.step(partial(self._flows, self._generation))
                else:
                    await self.can_resume_flow.wait()
        except (asyncio.CancelledError, *self.consumer_stopped_errors):
            if not self.app.should_stop:
                raise

    def _flows(self, generation: int) -> bool:
        return bool(self.flow_active) and generation == self._generation

    # Finish and commit ------------------------------------------------------------------------------------------------

    def ack(self, message: Any) -> bool:
        """What `event.ack()` ends in: the record is finished. False if it does not count (any more)."""
        message.acked = True
        return self._finish(message.tp, message.offset, message.generation_id)

    def _finish_now(self, tp: TP, offset: int) -> bool:
        return self._finish(tp, offset, self._generation)

    def _finish(self, tp: TP, offset: int, generation: int) -> bool:
        finished = self._ledger.finish(tp, offset, generation)
        if finished:
            self._delivery.room_freed()
        return finished

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Commit the finished prefix of all partitions; see commit_path.py. Called by Faust at each commit interval.
        Never after a crash: a stream without `noack()` that is closed by an exception acks the record that caused it.
        """
        return not self.crashed and await self._commits.commit()

    async def _send_commit(self, commits: Mapping[TP, Commit]) -> bool:
        return await self._thread.commit_together(commits, self._group_generation)

    async def wait_empty(self) -> None:
        """Stock waits here for every record delivered, for ever. A stop calls `let_go`."""

    async def on_stop(self) -> None:
        """Called by Faust before the thread is stopped and leaves the group."""
        if not self.crashed:
            await self.let_go()
        self.lease.lose()

    # Watching ---------------------------------------------------------------------------------------------------------

    @Service.task  # type: ignore[untyped-decorator]  # mode is untyped
    async def _watch_retention(self) -> None:
        while not self.should_stop:
            await self.sleep(retention.LOOK_EVERY_S)
            finished = {tp: partition.committable() for tp, partition in self._ledger.partitions.items()}
            if finished and not self.should_stop:
                await self._retention.look(finished)

    @Service.task  # type: ignore[untyped-decorator]  # mode is untyped
    async def _observe(self) -> None:
        while not self.should_stop:
            self.lease.loop_turned()
            self._thread.keep_membership()
            self._thread.look_at_the_sharing_out()
            due = self.loop.time() + OBSERVE_EVERY_S
            await asyncio.sleep(OBSERVE_EVERY_S)
            metrics.LOOP_LAG.set(max(0.0, self.loop.time() - due))
            metrics.LEASE_AGE.set(self.lease.age_s())
            set_gauges(self._ledger, self._unserved)
            expected = self.flowing and self._delivery.asks and self.lease.valid()
            self._fetch_watch.look(self._thread.last_response_ms(), expected=expected)
            failure = self._thread.failure()
            if failure is not None:
                log.error("kafka refused this consumer", error=repr(failure))
                await self.crash(failure)

    async def verify_all_partitions_active(self) -> None:
        """Stock's livelock alarm, which takes a partition blocked on purpose for a fault."""
