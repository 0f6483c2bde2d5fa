"""A stand-in for aiokafka's fetcher."""

import asyncio
import time
from collections import OrderedDict
from types import SimpleNamespace
from typing import Any

from aiokafka.consumer.fetcher import FetchResult

from connectors.kafka.fetch_wait import FetchWait
from connectors.kafka.topic_partition import TP

A, B, C = TP("a", 0), TP("b", 0), TP("c", 0)
SHORT_MS, LONG_MS = 100, 500


def parked(count: int) -> Any:
    """A real FetchResult over stand-in records; `take_parked` asks for exactly that type."""
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

    def __next__(self) -> Any:
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


def a_wait() -> FetchWait:
    return FetchWait(short_ms=SHORT_MS, long_ms=LONG_MS, in_time_s=0.03)


class _Context:
    def __enter__(self) -> None:
        pass

    def __exit__(self, *exc: object) -> None:
        pass
