"""The tail of a topic on a broker that goes away."""

from __future__ import annotations

import asyncio
import time

from connectors.kafka.settings import KafkaSettings
from connectors.kafka.tail import Tail
from tests.support.kafka import Kafka, Outgoing
from tests.support.kafka_broker import Broker
from tests.support.waiting import until


async def test_after_its_broker_was_killed_and_came_back_a_tail_is_fresh_again(own_kafka: Broker) -> None:
    """The leader's epoch is another then, which librdkafka's admin client does not learn: a tail that stayed stale held
    back every message of a dispatch process until its restart."""
    kafka, taken = Kafka(own_kafka.bootstrap), []
    kafka.create_topics({"followed": 2})
    tail = Tail(
        KafkaSettings((own_kafka.bootstrap,)),
        ("followed",),
        keep_ms=60_000,
        take=lambda message: taken.append(message.value()),
        now_ms=lambda: time.time_ns() // 1_000_000,
    )
    tail.start()
    try:
        await tail.read_once()
        await asyncio.to_thread(own_kafka.kill)
        await asyncio.to_thread(own_kafka.restart)
        await until(lambda: tail.age_s() < 1.0, 45, "the tail to be fresh")
        await asyncio.to_thread(kafka.produce, [Outgoing("followed", b"after", partition=1)])
        await until(lambda: taken == [b"after"], 30)
    finally:
        await tail.stop()
