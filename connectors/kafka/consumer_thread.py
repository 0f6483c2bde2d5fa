"""The half of the consumer that talks to the broker: aiokafka on an event loop of its own, so that heartbeats go on
whatever the stage does.

What is called from the main loop says so, and has its work done on the thread's loop. Everything private of aiokafka
that is used is listed in tests/connectors/kafka/test_overrides.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord
from aiokafka.errors import ConsumerStoppedError, KafkaError, KafkaTimeoutError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.structs import OffsetAndMetadata, TopicPartition
from faust.transport.drivers import aiokafka as driver

from connectors.health import Health

from .assignor import Assignor
from .batches import read_patiently
from .commit_book import Commit
from .fetch_wait import FetchWait
from .group_answers import takes_any, watched
from .lease import Lease
from .parked import PARKED_BACKOFF_S, take_parked, waiting
from .sharing_out import Patience, SharingOut
from .start_position import LogBounds
from .topic_partition import TP

log = structlog.get_logger(__name__)

COMMIT_TIMEOUT_S = 10.0
"""How long one commit may take. Long enough for a change of coordinator; what is given up is committed at the next
interval. aiokafka's own commit would try until the broker is back, past any rebalance."""

CLOSE_TIMEOUT_S = 2.0
"""How long leaving the group, and closing the connections after that, may take. A stop has 15 s in all."""

_Result = TypeVar("_Result")


class RebalanceListener(driver.ConsumerRebalanceListener):  # type: ignore[misc]  # Faust's classes are untyped
    """Passes the group's generation on. Stock also makes it the app's, from this thread and before the main loop has
    dropped what belonged to the one before; the consumer counts generations itself."""

    async def on_partitions_assigned(self, assigned: Collection[TopicPartition]) -> None:
        """Called by aiokafka once the group is stable; heartbeats wait until it returns."""
        thread = self._thread
        generation = thread._ensure_consumer()._coordinator.generation
        thread.fetch_wait.hurry()  # what else is asked of a broker waits for the fetch under way there
        await thread.on_partitions_assigned({TP(*tp) for tp in assigned}, generation)


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]  # Faust's classes are untyped
    """See the module."""

    lease: Lease
    fetch_wait: FetchWait
    metadata_max_age_s: float
    _consumer: AIOKafkaConsumer | None
    _sharing_out: SharingOut | None = None

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        consumer = super()._create_worker_consumer(transport)
        consumer._auto_offset_reset = "none"  # where to read is decided in start_position.py, and never in silence
        consumer._isolation_level = "read_committed"  # what an application took back by aborting was never asked for
        read_patiently()
        return consumer

    async def on_start(self) -> None:
        """Create and connect the client, and watch what the group's coordinator answers."""
        await super().on_start()
        consumer = self._ensure_consumer()
        fetcher = consumer._fetcher
        fetcher._prefetch_backoff = PARKED_BACKOFF_S
        fetcher._get_actions_per_node = waiting(fetcher, self.fetch_wait)
        refuses = takes_any
        if isinstance(self._assignor, Assignor):
            self._sharing_out = SharingOut(self._assignor, consumer, Patience(self.metadata_max_age_s))
            refuses = self._sharing_out.refuses
        coordinator = consumer._coordinator
        coordinator._send_req = watched(coordinator._send_req, self.lease, refuses)

    async def on_thread_stop(self) -> None:
        """Leave the group and close the client, bounded. While the broker is away aiokafka ends its own stop with a
        CancelledError, which would leave the thread undone and the process waiting for it; while the broker hangs it
        waits for the answer to its farewell."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await super().on_thread_stop()
        except (asyncio.CancelledError, TimeoutError):
            log.warning("the group was not left properly, it will notice by the session timeout")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._ensure_consumer()._client.close()

    def _stopped_set(self) -> None:
        """Called by mode when the main loop has stopped this service. What broke may have ended the thread, and its
        loop, before: then nobody waits there any more, and the end of a process tells its reason once."""
        try:
            super()._stopped_set()
        except RuntimeError:
            if not self.thread_loop.is_closed():
                raise
            self._stopped.set()

    def on_crash(self, msg: str, *fmt: Any, **kwargs: Any) -> None:
        """Called by mode when the thread dies; stock prints to stderr."""
        log.error("kafka consumer thread died", error=repr(fmt[-1]) if fmt else msg)

    async def run_here(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """From the main loop: run `work` on this thread's loop. Cancelling the wait cancels the work."""
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self.thread_loop))

    async def take(
        self, rooms: Mapping[TP, int], most: int, timeout_s: float, wanted: Callable[[], bool]
    ) -> dict[TP, list[ConsumerRecord]]:
        """From the main loop: up to `rooms[tp]` records of each partition and `most` in all, as soon as there are any;
        nothing after `timeout_s`.

        Taking moves the position, and what nobody delivers is lost. `wanted` is asked at the last moment: a whole
        rebalance may have passed while this waited for records, and those that came belong to the next generation.

        Raises:
            aiokafka.errors.OffsetOutOfRangeError: a partition's position is no longer in the log; `args[0]` maps it to
                the position.
            aiokafka.errors.KafkaError: what the broker refused for good.
            aiokafka.errors.ConsumerStoppedError: the client is closed.
        """
        return await self.run_here(self._take(rooms, most, timeout_s, wanted))

    async def _take(
        self, rooms: Mapping[TP, int], most: int, timeout_s: float, wanted: Callable[[], bool]
    ) -> dict[TP, list[ConsumerRecord]]:
        consumer = self._ensure_consumer()
        fetcher = consumer._fetcher
        subscriptions = fetcher._subscriptions
        deadline = time.monotonic() + timeout_s
        with subscriptions.fetch_context():
            while True:
                if consumer._closed or fetcher._closed:
                    raise ConsumerStoppedError()
                if subscriptions.reassignment_in_progress or not wanted():
                    return {}
                taken = take_parked(fetcher, rooms, most, self.fetch_wait)
                left = deadline - time.monotonic()
                if taken or left <= 0:
                    return taken
                waiter = fetcher._create_fetch_waiter()
                await asyncio.wait([waiter], timeout=left)
                if waiter.done():
                    waiter.result()  # the group's coordinator passes on its errors here
                else:
                    waiter.cancel()

    async def committed(self, partitions: Collection[TP]) -> dict[TP, Commit]:
        """From the main loop: what the group holds for these partitions, in one request; partitions never committed are
        absent. Waits while the broker is away."""
        return await self.run_here(self._committed(partitions))

    async def _committed(self, partitions: Collection[TP]) -> dict[TP, Commit]:
        coordinator = self._ensure_consumer()._coordinator
        held = await coordinator.fetch_committed_offsets([TopicPartition(*tp) for tp in partitions])
        return {TP(*tp): Commit(at.offset, at.metadata or "") for tp, at in held.items() if at.offset >= 0}

    async def bounds(self, partitions: Collection[TP]) -> dict[TP, LogBounds]:
        """From the main loop: what each log holds now. Waits while the broker is away."""
        return await self.run_here(self._bounds(partitions))

    async def _bounds(self, partitions: Collection[TP]) -> dict[TP, LogBounds]:
        if not partitions:
            return {}
        consumer = self._ensure_consumer()
        asked = [TopicPartition(*tp) for tp in partitions]
        while True:
            try:
                starts, ends = await asyncio.gather(consumer.beginning_offsets(asked), consumer.end_offsets(asked))
            except KafkaTimeoutError:  # the broker is away
                continue
            return {TP(*tp): LogBounds(starts[tp], ends[tp]) for tp in asked}

    async def offsets_at(self, times_ms: Mapping[TP, int]) -> dict[TP, int | None]:
        """From the main loop: the first offset of each log that was written at or after a time (epoch milliseconds);
        None where there is none. Waits while the broker is away."""
        return await self.run_here(self._offsets_at(times_ms))

    async def _offsets_at(self, times_ms: Mapping[TP, int]) -> dict[TP, int | None]:
        asked = {TopicPartition(*tp): at for tp, at in times_ms.items()}
        while True:
            try:
                found = await self._ensure_consumer().offsets_for_times(asked)
            except KafkaTimeoutError:  # the broker is away
                continue
            return {TP(*tp): None if at is None else at.offset for tp, at in found.items()}

    async def unread(self, partitions: Collection[TP]) -> dict[TP, tuple[int, int]]:
        """From the main loop: the offset that is taken next and the end of each log, of those assigned. Waits while the
        broker is away."""
        return await self.run_here(self._unread(partitions)) if partitions else {}

    async def _unread(self, partitions: Collection[TP]) -> dict[TP, tuple[int, int]]:
        asked = [TopicPartition(*tp) for tp in partitions]
        while True:
            try:
                ends = await self._ensure_consumer().end_offsets(asked)
                break
            except KafkaTimeoutError:  # the broker is away
                continue
        # Taken after the answer: a log grows, and what was taken meanwhile is not unread.
        positions = {TP(*tp): await self._position(TP(*tp)) for tp in asked}
        return {tp: (at, max(at, ends[TopicPartition(*tp)])) for tp, at in positions.items() if at is not None}

    async def seek_all(self, positions: Mapping[TP, int]) -> bool:
        """From the main loop: read on from these positions. False, without effect, if the assignment is another one."""
        return await self.run_here(self._seek_all(positions))

    async def _seek_all(self, positions: Mapping[TP, int]) -> bool:
        consumer = self._ensure_consumer()
        if not positions.keys() <= consumer.assignment():
            return False
        for tp, offset in positions.items():
            consumer.seek(TopicPartition(*tp), offset)
        self.fetch_wait.hurry()
        return True

    async def position(self, tp: TP) -> int | None:
        """From the main loop: the offset that is taken next, holes behind the last record included; None where the
        partition is not assigned or its position not known yet."""
        return await self.run_here(self._position(tp))

    async def _position(self, tp: TP) -> int | None:
        assignment = self._ensure_consumer()._subscription.subscription.assignment
        state = assignment.state_value(TopicPartition(*tp)) if assignment is not None else None
        return state.position if state is not None and state.has_valid_position else None

    async def commit_together(self, commits: Mapping[TP, Commit], group_generation: int) -> bool:
        """From the main loop: commit these, if the group's generation is still `group_generation`. False if that is
        not so or if it was refused or not answered; never raises for what Kafka may do."""
        try:
            return await self.run_here(self._commit_together(commits, group_generation))
        except (KafkaError, TimeoutError) as error:
            log.debug("commit failed", error=repr(error))
            return False

    async def _commit_together(self, commits: Mapping[TP, Commit], group_generation: int) -> bool:
        consumer = self._ensure_consumer()
        coordinator = consumer._coordinator
        offsets = {TopicPartition(*tp): OffsetAndMetadata(*commit) for tp, commit in commits.items()}
        async with asyncio.timeout(COMMIT_TIMEOUT_S):
            await coordinator.ensure_coordinator_known()
            async with coordinator._commit_lock:
                # Checked right before the request is made: without a generation the broker takes it for the commit of
                # a consumer outside any group, and an empty group would accept it from a process that has lost it.
                if coordinator.generation != group_generation or group_generation == _NO_GENERATION:
                    return False
                await coordinator._do_commit_offsets(consumer._subscription.subscription.assignment, offsets)
        return True

    def keep_membership(self) -> None:
        """From the main loop, while it turns: not reading is on purpose. aiokafka leaves the group, for good, when
        nothing was fetched for the maximum poll interval: while every partition is blocked, or in a long restore."""
        if self._consumer is not None:
            self._consumer._subscription._last_fetch_ended = time.monotonic()

    def look_at_the_sharing_out(self) -> None:
        """From the main loop, while it turns: see sharing_out.py."""
        if self._sharing_out is not None:
            with contextlib.suppress(RuntimeError):  # the thread has ended
                self.thread_loop.call_soon_threadsafe(self._sharing_out.look)

    def sharing_out_health(self) -> Health:
        """From the main loop: whether what this member reads is in somebody's hands."""
        return Health(True) if self._sharing_out is None else self._sharing_out.health()

    def last_response_ms(self) -> int:
        """When the broker last answered a fetch, in its client's wall clock; 0 before the first. Answers without
        records count."""
        consumer = self._consumer
        subscription = None if consumer is None else consumer._subscription.subscription
        if subscription is None or subscription.assignment is None:
            return 0
        states = subscription.assignment._tp_state.values()
        return max((state.timestamp or 0 for state in states), default=0)

    def failure(self) -> BaseException | None:
        """What ended one of the client's background tasks, or what the broker refused for good (authorization). Stock
        asks for neither and stands still in silence."""
        if self._consumer is None or self._consumer._coordinator is None:
            return None  # it is not connected yet, which takes long on a busy machine
        coordinator, fetcher = self._consumer._coordinator, self._consumer._fetcher
        if coordinator._pending_exception is not None:
            return _as_exception(coordinator._pending_exception)
        for task in (coordinator._coordination_task, fetcher._fetch_task):
            if task.done() and not task.cancelled() and task.exception() is not None:
                return _as_exception(task.exception())
        return None


_NO_GENERATION: int = OffsetCommitRequest.DEFAULT_GENERATION_ID


def _as_exception(error: Any) -> BaseException:
    return error if isinstance(error, BaseException) else KafkaError(repr(error))
