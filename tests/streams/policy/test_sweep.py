"""What nobody needs is forgotten as fast as it is written, and not before its input is finished."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from connectors.kafka.state import evict
from connectors.kafka.topic_partition import TP
from schemas.codec import SingleObjectCodec
from schemas.records import Channel, PolicyDecision, PolicyOutcome
from streams.policy.memory import Memory
from streams.policy.sweep import Sweeper
from tests.streams.policy.installation import NOW
from tests.streams.policy.remembering import DictState

CODEC = SingleObjectCodec()
REQUESTS = TP("comms.requests.login", 0)


class Pages(DictState):
    """State that can be gone through."""

    topic = "comms.policy.state"
    partitions = frozenset({0})

    def page(self, partition: int, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        return [entry for entry in sorted(self.entries.get(partition, {}).items()) if entry[0] >= start][:limit]

    def is_in_flight(self, partition: int, key: bytes) -> bool:
        return False


class Inputs:
    """A request topic that ends at `end` and is finished up to `finished`."""

    def __init__(self) -> None:
        self.end = self.finished = 0

    async def ends(self, partitions: Collection[TP]) -> dict[TP, int]:
        assert list(partitions) == [REQUESTS]
        return {REQUESTS: self.end}

    async def finished_to(self, tp: TP, end: int) -> bool:
        return self.finished >= end


def decision(message_id: str, forget_at: int) -> tuple[bytes, bytes]:
    kept = PolicyDecision(
        message_id=message_id,
        round=0,
        outcome=PolicyOutcome.DENIED,
        at=1,
        app="login",
        category="otp",
        channel=Channel.SMS,
        origin="comms.requests.login:0:7",
        forget_at=forget_at,
    )
    return f"+41791234567\0d{message_id}".encode(), CODEC.encode(kept)


def sweeper(states: Any, *, busy: bool = False) -> Sweeper:
    return Sweeper(states, Memory(states), [REQUESTS.topic], busy=lambda key: busy, now_ms=lambda: NOW)


def remembering(*entries: tuple[bytes, bytes]) -> Pages:
    states = Pages()
    states.entries[0] = dict(entries)
    return states


async def test_what_is_over_is_forgotten_and_the_rest_stays() -> None:
    states, inputs = remembering(decision("old", NOW - 1), decision("new", NOW)), Inputs()
    here = sweeper(states)
    await here.sweep(inputs)
    await here.sweep(inputs)
    assert list(states.entries[0]) == [decision("new", NOW)[0]]


async def test_nothing_is_forgotten_while_a_request_lies_unfinished_that_was_there_before() -> None:
    states, inputs = remembering(decision("old", NOW - 1)), Inputs()
    here = sweeper(states)
    inputs.end, inputs.finished = 8, 7
    for _ in range(3):
        await here.sweep(inputs)
        assert len(states.entries[0]) == 1
    inputs.end, inputs.finished = 100, 8
    await here.sweep(inputs)
    assert states.entries[0] == {}
    states.entries[0] = dict([decision("old", NOW - 1)])
    await here.sweep(inputs)
    assert len(states.entries[0]) == 1, "what came meanwhile counts from then on"


async def test_a_new_assignment_asks_anew_what_lies_there() -> None:
    states, inputs = remembering(decision("old", NOW - 1)), Inputs()
    here = sweeper(states)
    await here.sweep(inputs)
    here.let_go()
    inputs.end = 5
    await here.sweep(inputs)
    await here.sweep(inputs)
    assert len(states.entries[0]) == 1


async def test_who_is_having_their_turn_is_left_alone() -> None:
    states, inputs = remembering(decision("old", NOW - 1)), Inputs()
    here = sweeper(states, busy=True)
    await here.sweep(inputs)
    await here.sweep(inputs)
    assert len(states.entries[0]) == 1


async def test_as_much_is_deleted_as_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    slept = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    states: Any = remembering(*(decision(f"{number:04d}", NOW - 1) for number in range(4000)))
    assert await evict(states, 0, lambda key, value: True) == 4000
    assert 4000 / sum(slept) >= 2000
