"""Partition p of any topic is read only where partition p of the anchor topic is."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import NewPartitions

from connectors.kafka.app import StageApp
from tests.support.kafka import Kafka, Outgoing
from tests.support.stage import RecordingStage, recording_app, running


class Scene:
    """The topics of a stage; every worker finishes what it gets at once."""

    def __init__(self, kafka: Kafka, tmp_path: Path) -> None:
        self.kafka, self.tmp_path = kafka, tmp_path
        self.anchor, self.bulk, self.extra = (kafka.unique(name) for name in ("critical", "bulk", "extra"))
        self.group = kafka.unique("group")

    def worker(self, name: str, *topics: str, **settings: Any) -> tuple[StageApp, RecordingStage]:
        app = recording_app(self.kafka.bootstrap, self.group, self.tmp_path / name, anchor=self.anchor, **settings)
        return app, RecordingStage(app, topics, finish_at_once=True)

    async def fill(self, counts: dict[str, int]) -> None:
        """One record into every partition."""
        records = [Outgoing(topic, b"x", partition=p) for topic, count in counts.items() for p in range(count)]
        await asyncio.to_thread(self.kafka.produce, records)


@pytest.fixture
def scene(kafka: Kafka, tmp_path: Path) -> Scene:
    return Scene(kafka, tmp_path)


def places(stage: RecordingStage, topic: str) -> set[int]:
    """Partitions of the topic that this worker got a record of."""
    return {record.tp.partition for record in stage.received if record.tp.topic == topic}


def times(topic: str, *stages: RecordingStage) -> Counter[int]:
    """How often each partition's record was delivered."""
    return Counter(record.tp.partition for stage in stages for record in stage.received if record.tp.topic == topic)


async def test_during_a_rolling_change_no_partition_is_read_away_from_its_anchor(scene: Scene) -> None:
    """The old version does not subscribe to the extra topic, so its partitions all go to the new version's worker,
    also those whose anchor is at the old one."""
    scene.kafka.create_topics({scene.anchor: 4, scene.bulk: 4, scene.extra: 4})
    old_app, old = scene.worker("old", scene.anchor, scene.bulk)
    new_app, new = scene.worker("new", scene.anchor, scene.bulk, scene.extra)
    async with AsyncExitStack() as both:
        async with AsyncExitStack() as first_to_leave:
            await first_to_leave.enter_async_context(running(old_app))
            await old.until(lambda: old.holds(8))
            # Before that it would hold everything by itself, and might commit what is not to be its own.
            await both.enter_async_context(running(new_app))
            await old.until(lambda: old.holds(4))
            await new.until(lambda: new.holds(6))
            await old.until_flowing()
            await new.until_flowing()
            held = {tp.partition for tp in new_app.consumer.partitions if tp.topic == scene.anchor}
            assert len(held) == 2
            assert len([tp for tp in new_app.consumer.assignment() if tp.topic == scene.extra]) == 4

            await scene.fill({scene.anchor: 4, scene.bulk: 4, scene.extra: 4})
            await new.until(lambda: len(new.received) == 6)
            await old.until(lambda: len(old.received) == 4)
            assert places(new, scene.extra) == places(new, scene.anchor) == places(new, scene.bulk) == held
            assert {tp.partition for tp in new_app.consumer.partitions} == held
            await new.until(lambda: len({tp for tp, _ in new.committed}) == 6)
            assert set(await asyncio.to_thread(scene.kafka.committed, scene.group, scene.extra)) == held, (
                "what is not served is not committed either"
            )
        # The last old worker leaves, its anchors come here, and what waited is delivered, once.
        await new.until(lambda: len(new.received) == 8)
    assert places(new, scene.extra) == {0, 1, 2, 3}
    assert times(scene.extra, new) == Counter(range(4))
    assert times(scene.anchor, old, new) == times(scene.bulk, old, new) == Counter(range(4))


async def test_added_partitions_are_read_once_the_anchor_has_them_too(scene: Scene) -> None:
    scene.kafka.create_topics({scene.anchor: 2, scene.bulk: 2})
    app, stage = scene.worker("only", scene.anchor, scene.bulk, metadata_max_age_s=0.5)
    async with running(app):
        await stage.until_flowing()
        for done in scene.kafka.admin.create_partitions([NewPartitions(scene.bulk, 3)]).values():
            await asyncio.to_thread(done.result, 30)
        await stage.until(lambda: [call[0] for call in stage.calls].count("assigned") == 2)
        assert stage.holds(4), "five partitions, of which one has no anchor yet"
        await stage.until_flowing()
        await scene.fill({scene.bulk: 3})
        await stage.until(lambda: len(stage.received) == 2)
        assert places(stage, scene.bulk) == {0, 1}

        for done in scene.kafka.admin.create_partitions([NewPartitions(scene.anchor, 3)]).values():
            await asyncio.to_thread(done.result, 30)
        await stage.until(lambda: len(stage.received) == 3)
    assert times(scene.bulk, stage) == Counter(range(3))
