"""The durable publisher while Kafka goes away and comes back: waited for, nothing raised, lost or doubled."""

from __future__ import annotations

import asyncio
import time

import pytest
from structlog.testing import capture_logs

from connectors.health import Health
from connectors.kafka.publisher import DurablePublisher, Position, PublisherClosed
from connectors.kafka.settings import KafkaSettings
from tests.support.brokers import start_own_cluster
from tests.support.kafka import Kafka
from tests.support.kafka_broker import Broker
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(180)  # brokers that are killed and come back, on a shared machine


async def stream(publisher: DurablePublisher, until: asyncio.Event) -> list[asyncio.Future[Position]]:
    """Publish numbered records to two partitions until told to end."""
    futures: list[asyncio.Future[Position]] = []
    while not until.is_set():
        for _ in range(10):
            number = len(futures)
            futures.append(publisher.publish("t", b"%d" % number, partition=number % 2))
        await asyncio.sleep(0.005)
    return futures


@pytest.mark.parametrize("how", ["killed", "stopped", "paused"])
async def test_an_outage_in_mid_stream_loses_and_doubles_nothing(own_kafka: Broker, how: str) -> None:
    kafka = Kafka(own_kafka.bootstrap)
    kafka.create_topics({"t": 2})
    # A short request timeout, so that requests of a paused broker are sent again and it finally sees them twice.
    settings = KafkaSettings((own_kafka.bootstrap,), request_timeout_s=3.0)
    publisher = DurablePublisher(settings, name="outage")
    await publisher.start()
    await publisher.warm()
    assert publisher.health() == Health(True)
    end = asyncio.Event()
    with capture_logs() as logs:
        publishing = asyncio.create_task(stream(publisher, end))
        await asyncio.sleep(1)
        away = {"killed": own_kafka.kill, "stopped": own_kafka.stop, "paused": own_kafka.pause}[how]
        await asyncio.to_thread(away)
        await until(lambda: "Kafka away since " in publisher.health().detail)
        began = time.monotonic()
        while time.monotonic() - began < 5 * settings.request_timeout_s / 3:  # the outage lasts, records keep coming
            assert not publisher.health().ok
            await asyncio.sleep(0.2)
        await asyncio.to_thread(own_kafka.resume if how == "paused" else own_kafka.restart)
        await until(lambda: publisher.health().ok)
        await asyncio.sleep(1)
        end.set()
        futures = await publishing
        positions = await asyncio.gather(*futures)
    await publisher.stop()
    assert [log["event"] for log in logs] == ["dependency away", "dependency back"]
    stored = kafka.consume_all("t")
    for partition in (0, 1):
        values = [int(record.value or b"") for record in stored if record.partition == partition]
        assert values == list(range(partition, len(futures), 2))  # each once, in order
    assert [(p.partition, p.offset) for p in positions] == [(n % 2, n // 2) for n in range(len(futures))]


@pytest.mark.timeout(400)
async def test_a_rolling_restart_of_three_brokers_refuses_loses_and_doubles_nothing() -> None:
    """Leaders move all the time, and brokers come back knowing less than the others: none of that is a refusal."""
    cluster = await asyncio.to_thread(start_own_cluster, 3)
    try:
        kafka = Kafka(cluster[0].bootstrap)
        kafka.create_topics({"t": 2}, replication=3, min_insync_replicas="2")
        publisher = DurablePublisher(KafkaSettings(tuple(node.bootstrap for node in cluster)), name="rolling")
        await publisher.start()
        await publisher.warm()
        end = asyncio.Event()
        publishing = asyncio.create_task(stream(publisher, end))
        for number, node in enumerate(cluster):
            await asyncio.to_thread(node.kill if number == 1 else node.stop)
            await asyncio.sleep(1)
            await asyncio.to_thread(node.restart)
            await publisher.publish("t", b"-1", partition=0)
            await publisher.publish("t", b"-1", partition=1)
        end.set()
        futures = await publishing
        await asyncio.gather(*futures)
        await publisher.stop()
        stored = [record for record in await asyncio.to_thread(kafka.consume_all, "t") if record.value != b"-1"]
        for partition in (0, 1):
            values = [int(record.value or b"") for record in stored if record.partition == partition]
            assert values == list(range(partition, len(futures), 2))
    finally:
        for node in cluster:
            await asyncio.to_thread(node.close)


async def test_a_broker_that_is_away_at_start_is_waited_for(own_kafka: Broker) -> None:
    Kafka(own_kafka.bootstrap).create_topics({"t": 1})
    own_kafka.stop()
    publisher = DurablePublisher(KafkaSettings((own_kafka.bootstrap,)), name="early")
    await publisher.start()
    warming = asyncio.create_task(publisher.warm())
    future = publisher.publish("t", b"x")
    await until(lambda: "Connection refused" in publisher.health().detail)
    assert not warming.done()
    await asyncio.to_thread(own_kafka.restart)
    async with asyncio.timeout(60):
        await warming
    assert (await future).offset == 0
    await publisher.stop()


async def test_stopping_while_kafka_is_away_is_bounded(own_kafka: Broker) -> None:
    Kafka(own_kafka.bootstrap).create_topics({"t": 1})
    publisher = DurablePublisher(KafkaSettings((own_kafka.bootstrap,)), name="stopping")
    await publisher.start()
    await publisher.publish("t", b"x")
    own_kafka.kill()
    future = publisher.publish("t", b"y")
    async with asyncio.timeout(20):
        await publisher.stop(timeout_s=1)
    with pytest.raises(PublisherClosed, match="stopped"):
        await future
