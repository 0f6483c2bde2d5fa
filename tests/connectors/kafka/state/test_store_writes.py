"""Writes to stores share the trips to a thread, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

import pytest

from connectors.kafka.state.store import Reflects, Store
from connectors.kafka.state.store_writes import StoreWrites


class Trips(ThreadPoolExecutor):
    """Counts what it is given to do."""

    count = 0

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        self.count += 1
        return super().submit(work, *args, **kwargs)


class Shelf:
    """A store that remembers, or one that is broken."""

    def __init__(self, error: Exception | None = None) -> None:
        self.written: list[tuple[dict[bytes, bytes | None], Reflects]] = []
        self._error = error

    def write(self, changes: Iterable[tuple[bytes, bytes | None]], reflects: Reflects) -> None:
        if self._error is not None:
            raise self._error
        self.written.append((dict(changes), reflects))


def store(shelf: Shelf) -> Store:
    return cast("Store", shelf)


async def test_what_is_written_in_one_turn_of_the_loop_makes_one_trip() -> None:
    threads, shelves = Trips(1), [Shelf() for _ in range(16)]
    writes = StoreWrites(threads)
    for position in (1, 2):
        await asyncio.gather(*(writes.write(store(each), {b"k": b"v"}, Reflects(position)) for each in shelves))
    assert threads.count == 2
    assert all(shelf.written == [({b"k": b"v"}, Reflects(1)), ({b"k": b"v"}, Reflects(2))] for shelf in shelves)


async def test_one_stores_trouble_is_not_anothers() -> None:
    writes, sound = StoreWrites(Trips(1)), Shelf()
    broken = writes.write(store(Shelf(OSError("no space left"))), {b"k": b"v"}, Reflects(1))
    await writes.write(store(sound), {b"k": b"v"}, Reflects(1))
    with pytest.raises(OSError, match="no space left"):
        await broken
    assert len(sound.written) == 1


async def test_nobody_waits_for_threads_that_are_gone() -> None:
    threads = Trips(1)
    writes = StoreWrites(threads)
    threads.shutdown()
    with pytest.raises(RuntimeError, match="shutdown"):
        await writes.write(store(Shelf()), {b"k": b"v"}, Reflects(1))
