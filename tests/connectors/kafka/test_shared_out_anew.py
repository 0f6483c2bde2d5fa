"""Static members that come back within the session to other topics or more partitions than they left, on a real broker.
Kafka gives each what it had and has nobody share out anew; the members see to it themselves."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka import metrics
from connectors.kafka.app import StageApp
from connectors.kafka.topic_partition import TP
from tests.support.kafka import Kafka, Outgoing
from tests.support.stage import RecordingStage, recording_app, running
from tests.support.waiting import until

PATIENT = {"session_timeout_s": 30.0, "request_timeout_s": 10.0, "heartbeat_interval_s": 0.5}
"""No member is taken for dead here, however slow the machine."""


class Group:
    """Two static members of one group, started and stopped together."""

    def __init__(self, kafka: Kafka, folder: Path) -> None:
        self.kafka, self.name, self._folder = kafka, kafka.unique("group"), folder
        self._lives = itertools.count()

    @asynccontextmanager
    async def running(
        self, topics: Collection[str], *, anchor: str | None = None, **settings: float
    ) -> AsyncIterator[tuple[RecordingStage, RecordingStage]]:
        """The members, until the end of the block; they leave the group to its session."""
        apps = [self._app(name, anchor, settings) for name in ("one", "two")]
        one, two = (RecordingStage(app, topics, finish_at_once=True) for app in apps)
        async with running(apps[0]), running(apps[1]):
            await one.until_flowing()
            await two.until_flowing()
            yield one, two

    def _app(self, name: str, anchor: str | None, settings: dict[str, Any]) -> StageApp:
        return recording_app(
            self.kafka.bootstrap,
            self.name,
            self._folder / f"{name}{next(self._lives)}",
            instance_id=name,
            anchor=anchor,
            **(PATIENT | settings),
        )

    async def write_to_each(self, topic: str, partitions: int, value: bytes) -> None:
        records = [Outgoing(topic, value, partition=partition) for partition in range(partitions)]
        await asyncio.to_thread(self.kafka.produce, records)


@pytest.fixture
def group(kafka: Kafka, tmp_path: Path) -> Group:
    return Group(kafka, tmp_path)


def asked() -> float:
    return metrics.SHARED_OUT_ANEW._value.get()  # type: ignore[no-any-return]


async def both_hold(stages: Collection[RecordingStage], count: int) -> None:
    for stage in stages:
        await stage.until(lambda: stage.holds(count))  # noqa: B023


async def until_each_is_received(stages: Collection[RecordingStage], topic: str, partitions: int) -> None:
    """Something of every partition, by one of them."""
    wanted = {TP(topic, partition) for partition in range(partitions)}
    await until(lambda: wanted <= {record.tp for stage in stages for record in stage.received}, 30)


async def test_a_topic_more_gets_owners_when_all_come_back_within_the_session(group: Group) -> None:
    shop, swiss = group.kafka.unique("shop"), group.kafka.unique("swiss")
    group.kafka.create_topics({shop: 4, swiss: 4})
    await group.write_to_each(swiss, 4, b"waits")
    async with group.running([shop], anchor=shop) as before:
        await both_hold(before, 2)
    was_asked = asked()
    async with group.running([shop, swiss], anchor=shop) as after:
        await until_each_is_received(after, swiss, 4)
        await both_hold(after, 4)
        assert all(stage.app.consumer.sharing_out_health().ok for stage in after)
    assert 1 <= asked() - was_asked <= 2
    assert metrics.UNSHARED.labels(swiss)._value.get() == 0


async def test_more_partitions_get_owners_when_all_come_back_within_the_session(group: Group) -> None:
    topic = group.kafka.unique("topic")
    group.kafka.create_topics({topic: 2})
    async with group.running([topic]) as before:
        await both_hold(before, 1)
    await asyncio.to_thread(group.kafka.add_partitions, [topic], 6)
    await group.write_to_each(topic, 6, b"waits")
    async with group.running([topic]) as after:
        await until_each_is_received(after, topic, 6)
        await both_hold(after, 3)


async def test_partitions_added_to_a_group_that_nobody_leads_get_owners_and_nothing_comes_twice(group: Group) -> None:
    """Who led has come back since, and Kafka has nobody watch the topics any more."""
    topic = group.kafka.unique("topic")
    group.kafka.create_topics({topic: 2})
    async with group.running([topic]) as before:
        await both_hold(before, 1)
    was_asked = asked()
    async with group.running([topic], metadata_max_age_s=0.5) as after:
        assert asked() == was_asked
        await group.write_to_each(topic, 2, b"before")
        await until_each_is_received(after, topic, 2)
        await asyncio.to_thread(group.kafka.add_partitions, [topic], 6)
        await group.write_to_each(topic, 6, b"after")
        await until_each_is_received(after, topic, 6)
        await both_hold(after, 3)
        for stage in after:
            kinds = [call[0] for call in stage.calls]
            assert kinds == ["assigned", *["revoked", "released", "assigned"] * (kinds.count("assigned") - 1)]
    received = [(record.tp, record.offset) for stage in after for record in stage.received]
    assert len(received) == len(set(received)) == 8


async def test_who_comes_back_to_fewer_topics_is_given_no_other(group: Group) -> None:
    """aiokafka does not survive a share with a topic that it does not subscribe."""
    shop, old = group.kafka.unique("shop"), group.kafka.unique("old")
    group.kafka.create_topics({shop: 4, old: 4})
    async with group.running([shop, old]) as before:
        await both_hold(before, 4)
    async with group.running([shop]) as after:
        await both_hold(after, 2)


async def test_who_comes_back_to_the_same_asks_for_nothing(group: Group) -> None:
    topic = group.kafka.unique("topic")
    group.kafka.create_topics({topic: 4})
    async with group.running([topic]) as before:
        await both_hold(before, 2)
        held = [stage.app.consumer.partitions for stage in before]
    was_asked = asked()
    async with group.running([topic], metadata_max_age_s=0.2) as after:
        await group.write_to_each(topic, 4, b"x")
        await until_each_is_received(after, topic, 4)
        await asyncio.sleep(1)  # several times the longest pause before one would ask
        assert [stage.app.consumer.partitions for stage in after] == held
        assert [len(stage.calls) for stage in after] == [1, 1]
    assert asked() == was_asked
