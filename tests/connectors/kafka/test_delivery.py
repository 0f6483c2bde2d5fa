"""Records on their way from the client to the agents."""

import asyncio
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import OffsetOutOfRangeError

from connectors.kafka import delivery as module
from connectors.kafka.delivery import Delivery, Rewound
from connectors.kafka.ledger import Ledger
from connectors.kafka.topic_partition import TP
from connectors.kafka.window import Windows

A, B = TP("a", 0), TP("b", 0)


class Client:
    """Answers each take with the next of `batches`."""

    def __init__(self) -> None:
        self.batches: list[dict[TP, list[Any]] | Exception] = []
        self.asked: list[Mapping[TP, int]] = []
        self.sought: list[Mapping[TP, int]] = []

    async def take(
        self, rooms: Mapping[TP, int], most: int, timeout_s: float, wanted: Callable[[], bool]
    ) -> dict[TP, list[Any]]:
        self.asked.append(rooms)
        batch = self.batches.pop(0) if self.batches else {}
        if isinstance(batch, Exception):
            raise batch
        return batch

    async def seek_all(self, positions: Mapping[TP, int]) -> bool:
        self.sought.append(positions)
        return True


class Positions:
    """Where a position that is gone goes on."""

    start = 0

    async def after(self, tp: TP, position: int) -> int:
        return self.start


class Scene:
    def __init__(self) -> None:
        self.client, self.ledger, self.positions = Client(), Ledger(), Positions()
        self.handed: list[tuple[TP, int]] = []
        self.flows = True
        self.delivery = Delivery(
            self.client,
            self.ledger,
            Windows(lambda tp: 100),
            self.positions,  # type: ignore[arg-type]  # a stand-in
            self.hand_over,
            most=500,
        )
        self.ledger.begin(1, {A: 0, B: 0})

    def hand_over(self, tp: TP, records: list[Any]) -> None:
        self.handed += [(tp, record.offset) for record in records]

    async def step(self) -> None:
        await self.delivery.step(lambda: self.flows)


def records(*offsets: int) -> list[Any]:
    return [SimpleNamespace(offset=offset) for offset in offsets]


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def test_what_is_taken_is_handed_over_and_stands_in_the_ledger(scene: Scene) -> None:
    scene.client.batches = [{A: records(0, 1), B: records(4)}]
    await scene.step()
    assert scene.handed == [(A, 0), (A, 1), (B, 4)]
    assert (scene.ledger.outstanding(A), scene.ledger.outstanding(B)) == (2, 1)


async def test_only_partitions_with_room_are_asked_for(scene: Scene) -> None:
    scene.client.batches = [{A: records(*range(100))}]
    await scene.step()
    await scene.step()
    assert scene.client.asked == [{A: 100, B: 100}, {B: 100}]


async def test_another_generation_is_asked_for_its_own_partitions(scene: Scene) -> None:
    await scene.step()
    scene.ledger.begin(2, {B: 0})
    await scene.step()
    assert scene.client.asked == [{A: 100, B: 100}, {B: 100}]


async def test_where_everything_is_blocked_nothing_is_asked_until_a_record_is_finished(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_S", 60.0)
    scene.client.batches = [{A: records(*range(100)), B: records(*range(100))}]
    await scene.step()
    waiting = asyncio.ensure_future(scene.step())
    await asyncio.sleep(0)
    assert not waiting.done()
    for offset in range(30):
        scene.ledger.finish(B, offset, 1)
    scene.delivery.room_freed()
    async with asyncio.timeout(10):
        await waiting
    await scene.step()
    assert scene.client.asked == [{A: 100, B: 100}, {B: 30}]


async def test_once_the_flow_has_stopped_the_rest_is_not_delivered(scene: Scene) -> None:
    hand_over = scene.hand_over

    def stop_after_some(tp: TP, records: list[Any]) -> None:
        hand_over(tp, records)
        scene.flows = False

    scene.delivery._hand_over = stop_after_some
    scene.client.batches = [{A: records(*range(100)), B: records(0)}]
    await scene.step()
    assert scene.handed == [(A, offset) for offset in range(64)]
    assert (scene.ledger.outstanding(A), scene.ledger.outstanding(B)) == (64, 0)


async def test_agents_get_their_turn_during_a_large_batch(scene: Scene) -> None:
    scene.client.batches = [{A: records(*range(100)), B: records(*range(100))}]
    seen: list[int] = []

    async def agent() -> None:
        while not seen or seen[-1] < 200:
            seen.append(len(scene.handed))
            await asyncio.sleep(0)

    async with asyncio.timeout(10):
        await asyncio.gather(agent(), scene.step())
    assert {64, 128, 192} <= set(seen)


async def test_a_position_that_the_log_left_behind_moves_on(scene: Scene) -> None:
    scene.client.batches = [OffsetOutOfRangeError({A: 10})]
    scene.positions.start = 50
    await scene.step()
    assert scene.client.sought == [{A: 50}]


async def test_it_does_not_move_once_the_flow_has_stopped(scene: Scene) -> None:
    scene.client.batches = [OffsetOutOfRangeError({A: 10})]
    scene.positions.start, scene.flows = 50, False
    await scene.step()
    assert scene.client.sought == []


async def test_a_log_that_ends_below_the_position_is_an_error(scene: Scene) -> None:
    scene.client.batches = [OffsetOutOfRangeError({A: 10})]
    scene.positions.start = 3
    with pytest.raises(Rewound, match=r"a\[0\] ends below 10"):
        await scene.step()
