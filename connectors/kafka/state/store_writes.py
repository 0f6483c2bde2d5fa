"""Writes to the stores of all partitions: those of one moment make one trip to a thread, which costs more than they."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from typing import NamedTuple

from .store import Reflects, Store


class _Write(NamedTuple):
    store: Store
    changes: Mapping[bytes, bytes | None]
    reflects: Reflects
    done: asyncio.Future[None]


class StoreWrites:
    """Belongs to one event loop. One write of a store is under way at a time: its partition sees to that."""

    def __init__(self, threads: Executor) -> None:
        self._threads = threads
        self._waiting: list[_Write] = []
        self._runner: asyncio.Task[None] | None = None

    def write(self, store: Store, changes: Mapping[bytes, bytes | None], reflects: Reflects) -> asyncio.Future[None]:
        """`Store.write` in a thread; the future raises what that raises."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Write(store, changes, reflects, done))
        if self._runner is None:
            # It begins at the next turn of the loop, when all writes of this one are here.
            self._runner = asyncio.create_task(self._run(), name="state store writes")
        return done

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                writes, self._waiting = self._waiting, []
                try:
                    errors = await loop.run_in_executor(self._threads, _written, writes)
                except Exception as gone:  # the threads are
                    errors = [gone] * len(writes)
                for write, error in zip(writes, errors, strict=True):
                    if write.done.done():
                        continue
                    if error is None:
                        write.done.set_result(None)
                    else:
                        write.done.set_exception(error)
        finally:
            self._runner = None


def _written(writes: Sequence[_Write]) -> list[Exception | None]:
    """In a thread. One store's trouble is not another's."""
    errors: list[Exception | None] = []
    for write in writes:
        try:
            write.store.write(write.changes.items(), write.reflects)
        except Exception as error:
            errors.append(error)
        else:
            errors.append(None)
    return errors
