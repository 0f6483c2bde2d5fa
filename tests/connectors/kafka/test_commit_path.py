"""The one way by which offsets are committed."""

import asyncio
from collections.abc import Mapping

import pytest
from structlog.testing import capture_logs

from connectors.kafka.commit_book import Commit
from connectors.kafka.commit_path import CommitPath
from connectors.kafka.hooks import PartitionHooks
from connectors.kafka.ledger import Ledger
from connectors.kafka.topic_partition import TP

A = TP("a", 0)


class Broker:
    """Takes commits, when it is let."""

    def __init__(self) -> None:
        self.sent: list[Mapping[TP, Commit]] = []
        self.answer = True
        self.open = asyncio.Event()
        self.open.set()
        self.asked = asyncio.Event()
        self.at_once = 0
        self.most_at_once = 0

    async def send(self, commits: Mapping[TP, Commit]) -> bool:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.sent.append(commits)
        self.asked.set()
        await self.open.wait()
        self.at_once -= 1
        return self.answer


class Scene:
    def __init__(self) -> None:
        self.ledger, self.hooks, self.broker = Ledger(), PartitionHooks(), Broker()
        self.path = CommitPath(self.ledger, self.hooks, self.broker.send)
        self.committed: list[tuple[TP, int]] = []
        self.hooks.on_committed(lambda tp, offset: self.committed.append((tp, offset)))
        self.begin(1, 0)

    def begin(self, generation: int, start: int) -> None:
        self.ledger.begin(generation, {A: start})
        self.path.begin({A: Commit(start)})

    def finish(self, offset: int) -> None:
        self.ledger.deliver(A, offset)
        self.ledger.finish(A, offset, self.ledger.generation)


@pytest.fixture
async def scene() -> Scene:
    return Scene()


async def test_a_finished_prefix_is_committed_once(scene: Scene) -> None:
    scene.finish(0)
    assert await scene.path.commit()
    assert not await scene.path.commit()
    assert scene.broker.sent == [{A: Commit(1)}]


async def test_the_hook_hears_only_what_the_broker_confirmed(scene: Scene) -> None:
    scene.finish(0)
    scene.broker.answer = False
    assert not await scene.path.commit()
    assert scene.committed == []
    scene.broker.answer = True
    assert await scene.path.commit()
    assert scene.committed == [(A, 1)]


async def test_two_commits_never_run_at_the_same_time_and_the_second_sees_what_finished_meanwhile(scene: Scene) -> None:
    scene.broker.open.clear()
    scene.finish(0)
    first = asyncio.ensure_future(scene.path.commit())
    await scene.broker.asked.wait()
    scene.finish(1)
    second = asyncio.ensure_future(scene.path.commit())
    await asyncio.sleep(0)
    scene.broker.open.set()
    assert await first
    assert await second
    assert scene.broker.most_at_once == 1
    assert scene.broker.sent == [{A: Commit(1)}, {A: Commit(2)}]


async def test_metadata_is_asked_for_the_very_offset_that_is_committed(scene: Scene) -> None:
    asked = []

    def note(tp: TP, offset: int) -> str:
        asked.append((tp, offset))
        return f"note of {offset}"

    scene.hooks.position_meta = note
    scene.finish(0)
    await scene.path.commit()
    assert asked == [(A, 1)]
    assert scene.broker.sent == [{A: Commit(1, "note of 1")}]


async def test_a_confirmation_that_comes_after_a_rebalance_says_nothing_about_the_new_generation(scene: Scene) -> None:
    scene.broker.open.clear()
    scene.finish(0)
    late = asyncio.ensure_future(scene.path.commit())
    await scene.broker.asked.wait()
    scene.begin(2, 0)
    scene.broker.open.set()
    assert await late
    assert scene.committed == []
    scene.finish(0)
    await scene.path.commit()
    assert scene.broker.sent[-1] == {A: Commit(1)}


async def test_between_two_generations_nothing_is_committed(scene: Scene) -> None:
    scene.finish(0)
    scene.ledger.end()
    assert not await scene.path.commit()
    assert scene.broker.sent == []


async def test_failures_are_logged_when_they_begin_and_when_they_end(scene: Scene) -> None:
    with capture_logs() as logs:
        scene.finish(0)
        scene.broker.answer = False
        for _ in range(3):
            await scene.path.commit()
        scene.broker.answer = True
        await scene.path.commit()
    assert [entry["log_level"] for entry in logs] == ["warning", "info"]
