"""One of three brokers is lost while dispatch sends, and comes back: nothing stands still, nothing is lost, nothing is
sent twice."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from schemas.records import MessageStatus
from schemas.topics import catalogue
from tests.streams.cluster import COUNTS
from tests.streams.dispatch.cluster import (
    endings,
    fleet,
    fleet_address,
    fleet_twin,
    fresh_group,
    outgoing,
    until_committed,
    wall_ms,
)
from tests.streams.dispatch.killing import ids_of, sent_of, wanted_of, worker
from tests.streams.dispatch.simulation import order
from tests.support.brokers import start_own_cluster
from tests.support.kafka import Kafka, Outgoing
from tests.support.kafka_broker import Broker
from tests.support.waiting import until
from twin.server import Twin

pytestmark = pytest.mark.timeout(400)

RATES = {"fast": 150.0, "steady": 30.0}


def texts(lane: str, count: int, start: int) -> list[Outgoing]:
    made = []
    for number in range(start, start + count):
        each = order(lane=lane, recipient=f"+1415{2_000_000 + number}", body=f"text {number}")
        each.sender = fleet_address(list(RATES).index(lane))
        each.deadline = wall_ms() + 600_000
        made.append(outgoing(each, fleet(RATES).partition_of(lane)))
    return made


def cluster_of(brokers: Sequence[Broker]) -> Kafka:
    kafka = Kafka(",".join(broker.bootstrap for broker in brokers))
    settings: dict[str, Any] = {"min_insync_replicas": "2"} if len(brokers) > 1 else {}
    topics = {topic.name: COUNTS.of(topic.count) for topic in catalogue(["login"])}
    kafka.create_topics(topics, replication=len(brokers), **settings)
    return kafka


async def test_one_of_three_brokers_is_lost_and_comes_back(tmp_path: Path) -> None:
    brokers = await asyncio.to_thread(start_own_cluster, 3)
    try:
        kafka = await asyncio.to_thread(cluster_of, brokers)
        group = fresh_group(kafka)
        made = texts("fast", 1_200, 0) + texts("steady", 200, 5_000)
        await asyncio.to_thread(kafka.produce, made)
        async with Twin(fleet_twin(RATES)) as twin:
            process = worker(kafka, group, twin, tmp_path, instance="one", fleet=RATES)
            try:
                await until(lambda: len(twin.books.messages) >= 200, 90)
                await asyncio.to_thread(brokers[1].kill)
                more = texts("fast", 600, 10_000)
                await asyncio.to_thread(kafka.produce, more)
                await until(lambda: len(twin.books.messages) >= 1_300, 120)
                await asyncio.to_thread(brokers[1].restart)
                await until_committed(kafka, group, 150)
            finally:
                code = await asyncio.to_thread(process.stop)
            assert code == 0, process.output()
            assert sent_of(twin) == wanted_of(made + more)
        told = endings(kafka, ids_of(made + more))
        assert told.keys() == set(ids_of(made + more))
        assert {event.status for events in told.values() for event in events} == {MessageStatus.ACCEPTED}
    finally:
        for broker in brokers:
            broker.close()
