"""What is used up of a day's quota outlives its owner."""

from __future__ import annotations

import pytest

from streams.policy.config import CLOCKS_DIFFER_MS, Quota
from streams.policy.memory import Memory
from streams.policy.quotas import DAY_MS, Quotas
from tests.streams.policy.remembering import DictState

BEGIN_MS = 20_000 * DAY_MS
QUOTAS = {"shop": Quota(per_day=10, lanes={"long": Quota(per_day=3)}), "login": Quota(per_day=5)}


class Clock:
    def __init__(self) -> None:
        self.ms = BEGIN_MS


def owner(clock: Clock, memory: Memory, home: int = 0) -> Quotas:
    quotas = Quotas(QUOTAS, partitions=1, clock=lambda: clock.ms / 1000, now_ms=lambda: clock.ms)
    quotas.partitions_held([home])
    quotas.restore(home, memory.quotas(home))
    return quotas


async def given_away(quotas: Quotas, memory: Memory) -> None:
    for home, counts in quotas.changes().items():
        await memory.keep_quotas(home, counts)


async def test_the_next_owner_counts_on() -> None:
    clock, memory = Clock(), Memory(DictState())
    first = owner(clock, memory)
    for _ in range(7):
        first.charge("shop", 0)
    for _ in range(3):
        first.charge(("shop", "long"), 0)
    await given_away(first, memory)
    second = owner(clock, memory)
    assert second.ask_lanes("shop")["long"].day_over
    for _ in range(3):
        assert not second.ask("shop").day_over
        second.charge("shop", 0)
    assert second.ask("shop").day_over
    assert not second.ask("login").day_over


async def test_a_partition_that_comes_back_has_what_another_owner_counted_meanwhile() -> None:
    clock, memory = Clock(), Memory(DictState())
    first = owner(clock, memory)
    for _ in range(9):
        first.charge("shop", 0)
    await given_away(first, memory)
    second = owner(clock, memory)
    second.charge("shop", 0)
    await given_away(second, memory)
    first.restore(0, memory.quotas(0))
    assert first.ask("shop").day_over


async def test_only_what_changed_is_written_and_once() -> None:
    state = DictState()
    clock, memory = Clock(), Memory(state)
    quotas = owner(clock, memory)
    quotas.charge("shop", 0)
    await given_away(quotas, memory)
    await given_away(quotas, memory)
    assert (state.puts, len(state.entries[0])) == (1, 1)


async def test_a_new_day_begins_at_nothing_and_the_old_one_is_forgotten() -> None:
    state = DictState()
    clock, memory = Clock(), Memory(state)
    first = owner(clock, memory)
    for _ in range(5):
        first.charge("login", 0)
    await given_away(first, memory)
    [(key, value)] = state.entries[0].items()
    clock.ms += DAY_MS
    assert not memory.useless(key, value, clock.ms)
    assert memory.useless(key, value, clock.ms + CLOCKS_DIFFER_MS + 1)
    assert not owner(clock, memory).ask("login").day_over


@pytest.mark.parametrize("key", [b"quota\0shop\0", b"quota\0shop"])
def test_a_count_that_cannot_be_read_is_passed_over(key: bytes) -> None:
    state = DictState()
    state.entries[0] = {key: b"no record"}
    assert list(Memory(state).quotas(0)) == []
