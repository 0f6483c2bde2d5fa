"""Taking what has arrived, and what the group's coordinator answers."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.consumer.fetcher import FetchError, FetchResult
from aiokafka.errors import ConsumerStoppedError, OffsetOutOfRangeError, UnknownMemberIdError
from aiokafka.protocol.group import HeartbeatRequest, LeaveGroupRequest, SyncGroupRequest

from connectors.kafka import consumer_thread
from connectors.kafka.commit_book import Commit
from connectors.kafka.consumer_thread import ConsumerThread, _take_parked, _waiting, _watched
from connectors.kafka.fetch_wait import CALM_AFTER_S, FetchWait
from connectors.kafka.lease import Lease
from connectors.kafka.topic_partition import TP

A, B, C = TP("a", 0), TP("b", 0), TP("c", 0)
SHORT_MS, LONG_MS = 100, 500


def parked(count: int) -> Any:
    """A real FetchResult over stand-in records; `_take_parked` asks for exactly that type."""
    records = iter(range(count))
    result = FetchResult.__new__(FetchResult)
    state = SimpleNamespace(paused=False, position=0, consumed_to=lambda position: None)
    result._topic_partition = A
    result._partition_records = _Records(records)
    result._created = time.monotonic()
    result._assignment = SimpleNamespace(active=True, state_value=lambda tp: state)
    return result


class _Records:
    next_fetch_offset = 0

    def __init__(self, records: Any) -> None:
        self._records = records

    def __iter__(self) -> Any:
        return self

    def __next__(self) -> int:
        return next(self._records)


class Fetcher:
    def __init__(self, **records: Any) -> None:
        self._records = OrderedDict((TP(name, 0), result) for name, result in records.items())
        self._wait_consume_future = object()
        self._closed = False
        self._fetch_max_wait_ms = 0
        self.notified = 0
        self.waiters: list[asyncio.Future[None]] = []
        self.waited_for = asyncio.Event()
        self._subscriptions = SimpleNamespace(reassignment_in_progress=False, fetch_context=lambda: _Context())

    def _get_actions_per_node(self, assignment: Any) -> None:
        pass

    def _notify(self, future: Any) -> None:
        self.notified += 1

    def _create_fetch_waiter(self) -> asyncio.Future[None]:
        self.waiters.append(asyncio.get_running_loop().create_future())
        self.waited_for.set()
        return self.waiters[-1]


def taken_from(fetcher: Fetcher, rooms: Mapping[TP, int], most: int) -> dict[TP, list[Any]]:
    return _take_parked(fetcher, rooms, most, a_wait())


def a_wait() -> FetchWait:
    return FetchWait(short_ms=SHORT_MS, long_ms=LONG_MS, in_time_s=0.03)


class _Context:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass


def test_each_partition_gives_at_most_its_room_and_keeps_the_rest() -> None:
    fetcher = Fetcher(a=parked(10), b=parked(2))
    assert {tp: len(r) for tp, r in taken_from(fetcher, {A: 3, B: 3}, 100).items()} == {A: 3, B: 2}
    assert list(fetcher._records) == [A]
    assert len(taken_from(fetcher, {A: 100}, 100)[A]) == 7


def test_a_partition_without_room_loses_nothing() -> None:
    fetcher = Fetcher(a=parked(10), b=parked(2))
    assert list(taken_from(fetcher, {B: 3}, 100)) == [B]
    assert len(taken_from(fetcher, {A: 100}, 100)[A]) == 10


def test_one_that_still_has_records_goes_to_the_end_of_the_queue() -> None:
    fetcher = Fetcher(a=parked(10), b=parked(10), c=parked(10))
    rooms = {A: 2, B: 2, C: 2}
    turns = [next(iter(taken_from(fetcher, rooms, 2))) for _ in range(6)]
    assert turns == [A, B, C, A, B, C]


def test_an_emptied_partition_may_be_fetched_again_at_once() -> None:
    fetcher = Fetcher(a=parked(1))
    taken_from(fetcher, {A: 3}, 100)
    assert fetcher.notified == 1


def test_an_error_waits_until_what_was_taken_is_delivered() -> None:
    error = FetchError(error=OffsetOutOfRangeError({A: 5}), backoff=0)
    fetcher = Fetcher(b=parked(1), a=error)
    assert list(taken_from(fetcher, {A: 3, B: 3}, 100)) == [B]
    with pytest.raises(OffsetOutOfRangeError):
        taken_from(fetcher, {A: 3, B: 3}, 100)
    assert not fetcher._records


def test_an_error_of_a_partition_without_room_stays() -> None:
    fetcher = Fetcher(a=FetchError(error=OffsetOutOfRangeError({A: 5}), backoff=0))
    assert taken_from(fetcher, {B: 3}, 100) == {}
    assert list(fetcher._records) == [A]


def thread_over(fetcher: Fetcher) -> ConsumerThread:
    thread = ConsumerThread.__new__(ConsumerThread)
    thread._consumer = SimpleNamespace(_fetcher=fetcher, _closed=False)
    thread.fetch_wait = a_wait()
    return thread


async def test_records_that_arrive_after_a_rebalance_are_left_to_the_next_generation() -> None:
    """A take may wait through a whole rebalance; what it took then, nobody would deliver."""
    fetcher = Fetcher()
    generation = 1
    taking = asyncio.ensure_future(thread_over(fetcher)._take({A: 3}, 100, 60, lambda: generation == 1))
    await fetcher.waited_for.wait()
    generation = 2
    fetcher._records[A] = parked(3)
    fetcher.waiters[-1].set_result(None)
    async with asyncio.timeout(10):
        assert await taking == {}
    assert len(taken_from(fetcher, {A: 3}, 100)[A]) == 3


async def test_taking_waits_for_records_and_returns_as_soon_as_there_are_some() -> None:
    fetcher = Fetcher()
    taking = asyncio.ensure_future(thread_over(fetcher)._take({A: 3}, 100, 60, lambda: True))
    await fetcher.waited_for.wait()
    fetcher._records[A] = parked(2)
    fetcher.waiters[-1].set_result(None)
    async with asyncio.timeout(10):
        assert {tp: len(r) for tp, r in (await taking).items()} == {A: 2}


async def test_taking_gives_up_in_time() -> None:
    assert await thread_over(Fetcher())._take({A: 3}, 100, 0.01, lambda: True) == {}


async def test_taking_from_a_closed_client_is_an_error() -> None:
    fetcher = Fetcher(a=parked(1))
    fetcher._closed = True
    with pytest.raises(ConsumerStoppedError):
        await thread_over(fetcher)._take({A: 3}, 100, 1, lambda: True)


class Quiet:
    """A thread over a fetcher, none of whose partitions was busy of late, and its clock."""

    def __init__(self) -> None:
        self.fetcher = Fetcher()
        self.clock = SimpleNamespace(now=time.monotonic())
        self.thread = thread_over(self.fetcher)
        self.thread.fetch_wait = FetchWait(
            short_ms=SHORT_MS, long_ms=LONG_MS, in_time_s=0.03, clock=lambda: self.clock.now
        )
        self.clock.now += CALM_AFTER_S

    def come(self, count: int, seconds_ago: float) -> None:
        self.fetcher._records[A] = parked(count)
        self.fetcher._records[A]._created = self.clock.now - seconds_ago

    def wait_ms(self) -> int:
        """Of a fetch that is sent now."""
        _waiting(self.fetcher, self.thread.fetch_wait)(None)
        return self.fetcher._fetch_max_wait_ms


async def test_fetches_wait_long_while_no_partition_is_busy_and_shortly_once_one_was() -> None:
    quiet = Quiet()
    quiet.come(4, seconds_ago=5.0)
    assert quiet.wait_ms() == LONG_MS
    await quiet.thread._take({A: 3}, 100, 0, lambda: True)
    assert quiet.wait_ms() == LONG_MS  # one of them is left
    await quiet.thread._take({A: 3}, 100, 0, lambda: True)
    assert quiet.wait_ms() == SHORT_MS
    quiet.clock.now += CALM_AFTER_S
    assert quiet.wait_ms() == LONG_MS


async def test_a_fetch_without_a_partition_that_is_about_to_be_taken_from_waits_shortly() -> None:
    """A second urgent message on a lane whose first one the busy loop has not taken yet."""
    quiet = Quiet()
    quiet.come(1, seconds_ago=0.1)
    assert quiet.wait_ms() == SHORT_MS


async def test_where_reading_begins_fetches_wait_shortly() -> None:
    quiet = Quiet()
    quiet.thread._consumer.assignment = lambda: {A}
    quiet.thread._consumer.seek = lambda tp, offset: None
    assert quiet.wait_ms() == LONG_MS
    assert await quiet.thread._seek_all({A: 5})
    assert quiet.wait_ms() == SHORT_MS


HEARTBEAT = HeartbeatRequest("g", 1, "m")
SYNC = SyncGroupRequest("g", 1, "m", None, [])
LEAVE = LeaveGroupRequest("g", "m")


@pytest.mark.parametrize(
    ("name", "request_", "error_code", "valid"),
    [
        ("a heartbeat that is answered", HEARTBEAT, 0, True),
        ("the end of a join", SYNC, 0, True),
        ("a heartbeat during a rebalance", HEARTBEAT, 27, False),
        ("anything else", LEAVE, 0, False),
    ],
)
async def test_the_lease_is_renewed_by(name: str, request_: Any, error_code: int, valid: bool) -> None:
    async def send(request: Any) -> Any:
        return SimpleNamespace(error_code=error_code, member_assignment=b"")

    lease = Lease(20)
    await _watched(send, lease)(request_)
    assert lease.valid() is valid, name


@pytest.mark.parametrize("error_code", [22, 25, 82])
async def test_the_lease_ends_at_once_when_the_group_does_not_know_us(error_code: int) -> None:
    async def send(request: Any) -> Any:
        return SimpleNamespace(error_code=error_code)

    lease = Lease(20)
    lease.renew(lease.now())
    await _watched(send, lease)(HEARTBEAT)
    assert not lease.valid()


@pytest.mark.parametrize(
    ("name", "request_", "refused", "error_code"),
    [
        ("a share that fits", SYNC, False, 0),
        ("a share that does not fit", SYNC, True, 27),
        ("a heartbeat", HEARTBEAT, True, 0),
    ],
)
async def test_the_client_joins_again_for(name: str, request_: Any, refused: bool, error_code: int) -> None:
    async def send(request: Any) -> Any:
        return SimpleNamespace(error_code=0, member_assignment=b"share")

    async def refuses(share: bytes) -> bool:
        return refused and share == b"share"

    assert (await _watched(send, Lease(20), refuses)(request_)).error_code == error_code, name


async def test_the_lease_counts_from_before_the_request() -> None:
    clock = SimpleNamespace(now=100.0)
    lease = Lease(20, max_loop_lag_s=1e9, clock=lambda: clock.now)

    async def send(request: Any) -> Any:
        clock.now += 15
        return SimpleNamespace(error_code=0)

    await _watched(send, lease)(HEARTBEAT)
    assert lease.age_s() == 15


async def test_what_fails_on_the_way_renews_nothing() -> None:
    async def send(request: Any) -> Any:
        raise ConnectionError

    lease = Lease(20)
    with pytest.raises(ConnectionError):
        await _watched(send, lease)(HEARTBEAT)
    assert not lease.valid()


class Coordinator:
    """A group's coordinator on which the member's generation is `generation`."""

    def __init__(self, generation: int, *, error: Exception | None = None, known: bool = True) -> None:
        self.generation, self.error, self.known = generation, error, known
        self._commit_lock = asyncio.Lock()
        self.sent: list[Any] = []

    async def ensure_coordinator_known(self) -> None:
        if not self.known:
            await asyncio.Event().wait()

    async def _do_commit_offsets(self, assignment: Any, offsets: Any) -> None:
        self.sent.append(offsets)
        if self.error is not None:
            raise self.error


def committing_thread(coordinator: Coordinator) -> ConsumerThread:
    thread = ConsumerThread.__new__(ConsumerThread)
    subscription = SimpleNamespace(subscription=SimpleNamespace(assignment=None))
    thread._consumer = SimpleNamespace(_coordinator=coordinator, _subscription=subscription)
    thread.run_here = lambda work: work  # type: ignore[method-assign,assignment]  # both loops are this one
    return thread


COMMITS = {A: Commit(5, "note")}


async def test_offset_and_metadata_go_out_together() -> None:
    coordinator = Coordinator(3)
    assert await committing_thread(coordinator).commit_together(COMMITS, 3)
    assert coordinator.sent == [{A: (5, "note")}]


@pytest.mark.parametrize(
    ("name", "now", "planned"),
    [("the group has rebalanced", 4, 3), ("the group has lost us", -1, 3), ("we never were in the group", -1, -1)],
)
async def test_nothing_is_committed_when(name: str, now: int, planned: int) -> None:
    """Without a generation an empty group takes the commit for that of a consumer outside any group, and goes back."""
    coordinator = Coordinator(now)
    assert not await committing_thread(coordinator).commit_together(COMMITS, planned), name
    assert coordinator.sent == []


async def test_a_refused_commit_is_no_error() -> None:
    coordinator = Coordinator(3, error=UnknownMemberIdError())
    assert not await committing_thread(coordinator).commit_together(COMMITS, 3)


async def test_a_commit_does_not_wait_for_ever_for_a_coordinator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consumer_thread, "COMMIT_TIMEOUT_S", 0.01)
    coordinator = Coordinator(3, known=False)
    assert not await committing_thread(coordinator).commit_together(COMMITS, 3)
    assert coordinator.sent == []


async def test_a_thread_that_ended_before_it_was_told_to_is_no_second_failure() -> None:
    thread = ConsumerThread.__new__(ConsumerThread)
    thread._stopped = asyncio.Event()
    thread.thread_loop = asyncio.new_event_loop()
    thread.thread_loop.close()
    thread._stopped_set()
    assert thread._stopped.is_set()


def test_a_client_that_is_not_connected_yet_has_not_failed() -> None:
    thread = ConsumerThread.__new__(ConsumerThread)
    thread._consumer = SimpleNamespace(_coordinator=None, _fetcher=None)
    assert thread.failure() is None
