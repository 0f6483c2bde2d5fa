"""Callbacks of a stage."""

import asyncio
from typing import Any

import pytest

from connectors.kafka.hooks import Loss, PartitionHooks
from connectors.kafka.topic_partition import TP

A = TP("a", 0)


async def test_callbacks_may_be_sync_or_async_and_keep_their_order() -> None:
    hooks, calls = PartitionHooks(), []

    @hooks.on_assigned
    def first(partitions: frozenset[TP], generation: int) -> None:
        calls.append(("first", partitions, generation))

    @hooks.on_assigned
    async def second(partitions: frozenset[TP], generation: int) -> None:
        await asyncio.sleep(0)
        calls.append(("second", partitions, generation))

    await hooks.assigned([A], 3)
    assert calls == [("first", frozenset({A}), 3), ("second", frozenset({A}), 3)]


async def test_all_revoked_callbacks_share_one_wait() -> None:
    hooks, both = PartitionHooks(), asyncio.Barrier(2)
    for _ in range(2):

        @hooks.on_revoked
        async def revoked(partitions: frozenset[TP]) -> None:
            await both.wait()  # would wait for ever, one after the other

    async with asyncio.timeout(5):
        await hooks.revoked([A])


async def test_released_committed_and_lost_reach_their_callbacks() -> None:
    hooks = PartitionHooks()
    calls: list[Any] = []
    hooks.on_released(lambda partitions: calls.append(partitions))
    hooks.on_committed(lambda tp, offset: calls.append((tp, offset)))
    hooks.on_loss(lambda loss: calls.append(loss))
    loss = Loss(A, 1, 2, 1, "retention")
    await hooks.released([A])
    hooks.committed(A, 7)
    await hooks.lost(loss)
    assert calls == [frozenset({A}), (A, 7), loss]


async def test_an_exception_reaches_the_caller() -> None:
    hooks = PartitionHooks()

    @hooks.on_assigned
    async def broken(partitions: frozenset[TP], generation: int) -> None:
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        await hooks.assigned([A], 1)
