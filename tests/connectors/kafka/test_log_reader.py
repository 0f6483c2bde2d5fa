"""Reading stretches of a log again, on a real broker."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from connectors.kafka.asking import Stopped
from connectors.kafka.log_reader import LogReader, Stretch
from connectors.kafka.topic_partition import TP
from tests.support.kafka import Kafka, Outgoing
from tests.support.kafka_broker import Broker
from tests.support.stage import quick_settings


def reader(kafka: Kafka | Broker) -> LogReader:
    return LogReader(quick_settings(kafka.bootstrap))


def written(kafka: Kafka, counts: dict[int, int], **settings: Any) -> str:
    topic = kafka.unique("log")
    kafka.create_topics({topic: 4}, **settings)
    kafka.produce(
        [Outgoing(topic, b"%d" % n, b"k", partition) for partition, count in counts.items() for n in range(count)]
    )
    return topic


def collect(log: LogReader, stretches: dict[TP, Stretch]) -> dict[int, list[int]]:
    seen: dict[int, list[int]] = {}

    def take(message: Any) -> None:
        seen.setdefault(message.partition(), []).append(int(message.value()))

    assert log.read(stretches, take) == sum(map(len, seen.values()))
    return seen


def test_exactly_the_stretch_is_read_in_order(kafka: Kafka) -> None:
    topic = written(kafka, {0: 3000, 1: 10, 2: 5})
    stretches = {TP(topic, 0): Stretch(100, 2900), TP(topic, 1): Stretch(0, 10), TP(topic, 2): Stretch(3, 3)}
    assert collect(reader(kafka), stretches) == {0: list(range(100, 2900)), 1: list(range(10))}


def test_nothing_to_read_is_read_at_once(kafka: Kafka) -> None:
    topic = written(kafka, {})
    log = reader(kafka)
    whole = log.whole([TP(topic, 0)])
    assert whole == {TP(topic, 0): Stretch(0, 0)}
    assert collect(log, whole) == {}


def test_only_what_is_young_enough_and_not_too_much_is_read_back(kafka: Kafka) -> None:
    topic = written(kafka, {0: 50})
    tp = TP(topic, 0)
    log = reader(kafka)
    times = [stored.timestamp_ms for stored in kafka.consume_all(topic)]
    assert log.recent([tp], 0, 1000) == {tp: Stretch(0, 50)}
    assert log.recent([tp], 0, 15) == {tp: Stretch(35, 50)}
    assert log.recent([tp], times[-1] + 1, 1000) == {tp: Stretch(50, 50)}
    assert log.recent([tp], times[20], 1000) == {tp: Stretch(times.index(times[20]), 50)}


async def test_a_reader_that_is_told_to_stop_stops_while_the_broker_is_away(own_kafka: Broker) -> None:
    kafka = Kafka(own_kafka.bootstrap)
    topic = await asyncio.to_thread(written, kafka, {0: 10})
    log = reader(own_kafka)
    own_kafka.pause()
    asked = threading.Event()

    def ask() -> None:
        asked.set()
        log.whole([TP(topic, 0)])

    waiting = asyncio.create_task(asyncio.to_thread(ask))
    await asyncio.to_thread(asked.wait)
    log.stop()
    with pytest.raises(Stopped):
        await waiting
    own_kafka.resume()


async def test_a_reader_waits_for_the_broker(own_kafka: Broker) -> None:
    kafka = Kafka(own_kafka.bootstrap)
    topic = await asyncio.to_thread(written, kafka, {0: 10})
    own_kafka.pause()
    log = reader(own_kafka)
    waiting = asyncio.create_task(asyncio.to_thread(log.whole, [TP(topic, 0)]))
    await asyncio.sleep(0)
    own_kafka.resume()
    assert await waiting == {TP(topic, 0): Stretch(0, 10)}
