"""Start positions found with a broker's answers."""

from collections.abc import Collection

import pytest

from connectors.kafka import log_positions
from connectors.kafka.commit_book import Commit
from connectors.kafka.hooks import Loss, PartitionHooks
from connectors.kafka.log_positions import LogPositions
from connectors.kafka.metrics import LOST
from connectors.kafka.start_position import LogBounds
from connectors.kafka.topic_partition import TP

A, B, C = TP("positions-a", 0), TP("positions-a", 1), TP("positions-b", 0)


class Broker:
    def __init__(self) -> None:
        self.held = {A: Commit(10, "note"), B: Commit(3)}
        self.logs = {tp: [LogBounds(5, 20)] for tp in (A, B, C)}

    async def committed(self, partitions: Collection[TP]) -> dict[TP, Commit]:
        return {tp: self.held[tp] for tp in partitions if tp in self.held}

    async def bounds(self, partitions: Collection[TP]) -> dict[TP, LogBounds]:
        return {tp: self.logs[tp].pop(0) if len(self.logs[tp]) > 1 else self.logs[tp][0] for tp in partitions}


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def losses() -> list[Loss]:
    return []


@pytest.fixture
def hooks(losses: list[Loss]) -> PartitionHooks:
    made = PartitionHooks()
    made.on_loss(losses.append)
    return made


@pytest.fixture
def positions(broker: Broker, hooks: PartitionHooks, monkeypatch: pytest.MonkeyPatch) -> LogPositions:
    monkeypatch.setattr(log_positions, "CHECK_PAUSE_S", 0)
    return LogPositions(broker, hooks)


async def test_each_partition_starts_where_the_group_was_and_a_loss_is_told(
    positions: LogPositions, losses: list[Loss]
) -> None:
    before = LOST.labels("positions-a")._value.get()
    committed, starts = await positions.at_start([A, B, C])
    assert committed == {A: Commit(10, "note"), B: Commit(3)}
    assert starts == {A: 10, B: 5, C: 5}
    assert losses == [Loss(B, 3, 5, 3, "retention")]
    assert LOST.labels("positions-a")._value.get() == before + 2


async def test_what_the_stage_wants_from_the_start_is_read_from_there_and_is_no_loss(
    positions: LogPositions, losses: list[Loss], hooks: PartitionHooks
) -> None:
    hooks.from_start = lambda tp: tp == B
    committed, starts = await positions.at_start([A, B])
    assert committed == {A: Commit(10, "note"), B: Commit(3)}
    assert starts == {A: 10, B: 5}
    assert losses == []


async def test_a_log_that_looks_too_short_for_a_moment_is_not_taken_for_another_one(
    positions: LogPositions, broker: Broker, losses: list[Loss]
) -> None:
    broker.logs[A] = [LogBounds(5, 9), LogBounds(5, 10)]
    assert (await positions.at_start([A]))[1] == {A: 10}
    assert losses == []


async def test_a_log_that_stays_too_short_is_another_one(
    positions: LogPositions, broker: Broker, losses: list[Loss]
) -> None:
    broker.logs[A] = [LogBounds(0, 9)]
    assert (await positions.at_start([A]))[1] == {A: 0}
    assert [loss.reason for loss in losses] == ["truncated"]


async def test_a_position_that_the_log_left_behind_moves_to_its_start(
    positions: LogPositions, losses: list[Loss]
) -> None:
    assert await positions.after(A, 2) == 5
    assert losses == [Loss(A, 2, 5, 2, "retention")]
