"""Waiting for records, committing, and the end of the thread."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import ConsumerStoppedError, UnknownMemberIdError

from connectors.kafka import consumer_thread
from connectors.kafka.commit_book import Commit
from connectors.kafka.consumer_thread import ConsumerThread
from connectors.kafka.fetch_wait import CALM_AFTER_S, FetchWait
from connectors.kafka.parked import take_parked, waiting
from tests.connectors.kafka.fetcher import LONG_MS, SHORT_MS, A, Fetcher, a_wait, parked


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
    assert len(take_parked(fetcher, {A: 3}, 100, a_wait())[A]) == 3


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
        waiting(self.fetcher, self.thread.fetch_wait)(None)
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
    consumer: Any = quiet.thread._consumer
    consumer.assignment = lambda: {A}
    consumer.seek = lambda tp, offset: None
    assert quiet.wait_ms() == LONG_MS
    assert await quiet.thread._seek_all({A: 5})
    assert quiet.wait_ms() == SHORT_MS


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
    thread.run_here = lambda work: work  # type: ignore[method-assign]  # both loops are this one
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
