from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from connectors.kafka.origin import (
    ORIGIN_HEADER,
    ORIGIN_TIME_HEADER,
    origin_of,
    republish_to_right_partition,
    rewritten_headers,
    written_at,
)
from connectors.kafka.partitioning import partition_of
from connectors.kafka.publisher import DurablePublisher, Position
from connectors.kafka.settings import KafkaSettings
from tests.support.kafka import Kafka, Outgoing
from tests.support.published import RecordingPublisher

PERSON = b"+14155550100"


@dataclass
class Message:
    topic: str = "comms.requests.shop"
    partition: int = 3
    offset: int = 77
    timestamp: float | None = None
    key: bytes | None = PERSON
    value: bytes | None = b"value"
    headers: Any = field(default_factory=list)


def test_a_record_comes_from_where_it_is() -> None:
    assert origin_of(Message(headers=None)) == Position("comms.requests.shop", 3, 77)


def test_a_record_that_was_written_again_comes_from_where_it_was_first() -> None:
    message = Message(headers=[("x", None), (ORIGIN_HEADER, b"comms.requests.shop:1:5")])
    assert origin_of(message) == Position("comms.requests.shop", 1, 5)


@pytest.mark.parametrize(
    "claim",
    [
        b"comms.requests.login:1:5",
        b"comms.requests.shop.urgent:1:5",
        b"comms.requests.shop:1",
        b"comms.requests.shop:1:5:7",
        b"comms.requests.shop:-1:5",
        b"comms.requests.shop:1:5.0",
        "comms.requests.shop:1:\u0665".encode(),
        b"comms.requests.shop:1:99999999999999999999",
        b"comms.requests.shop:1:9223372036854775808",
        b"comms.requests.shop:1:" + b"9" * 10_000,
        b"\xff\xfe",
        b"",
        None,
    ],
)
def test_a_claim_that_names_another_topic_or_makes_no_sense_is_not_believed(claim: bytes | None) -> None:
    assert origin_of(Message(headers=[(ORIGIN_HEADER, claim)])) == Position("comms.requests.shop", 3, 77)


def test_a_record_keeps_the_time_at_which_it_was_first_written_however_often_it_is_written_again() -> None:
    first = Message(timestamp=1_800_000_000.123)
    assert written_at(first) == 1_800_000_000_123
    second = Message(offset=90, timestamp=1_800_000_009.0, headers=rewritten_headers(first))
    third = Message(offset=91, timestamp=1_800_000_010.0, headers=rewritten_headers(second))
    assert [written_at(each) for each in (second, third)] == [1_800_000_000_123] * 2
    assert sum(name == ORIGIN_TIME_HEADER for name, _ in third.headers) == 1


@pytest.mark.parametrize("time", [None, b"", b"-5", b"1.5", b"9" * 20, b"\xff"])
def test_the_time_of_a_record_that_was_written_again_without_it_is_not_known(time: bytes | None) -> None:
    origin = (ORIGIN_HEADER, b"comms.requests.shop:1:5")
    assert written_at(Message(timestamp=9.0, headers=[origin, (ORIGIN_TIME_HEADER, time)])) is None
    assert written_at(Message(timestamp=9.0, headers=[origin])) is None
    assert written_at(Message(timestamp=9.0, headers=[(ORIGIN_TIME_HEADER, b"5")])) == 9_000, (
        "it was first written here"
    )
    assert written_at(Message(timestamp=None)) is None


async def test_a_record_in_its_right_partition_is_left_alone() -> None:
    publisher = RecordingPublisher()
    message = Message(partition=partition_of(PERSON, 16))
    assert not await republish_to_right_partition(publisher, message, key=PERSON, partitions=16)
    assert publisher.records == []


async def test_a_false_claim_is_replaced_when_the_record_is_written_again() -> None:
    publisher = RecordingPublisher()
    message = Message(
        partition=(partition_of(PERSON, 16) + 1) % 16,
        key=None,
        headers=((ORIGIN_HEADER, b"comms.requests.login:1:5"), ("traceparent", b"00-1")),
    )
    assert await republish_to_right_partition(publisher, message, key=PERSON, partitions=16)
    origin = f"comms.requests.shop:{message.partition}:77".encode()
    assert publisher.records == [
        Outgoing(
            message.topic,
            b"value",
            PERSON,
            partition_of(PERSON, 16),
            (("traceparent", b"00-1"), (ORIGIN_HEADER, origin)),
        )
    ]


async def test_on_real_kafka_it_arrives_once_in_its_partition_and_knows_its_origin(kafka: Kafka) -> None:
    topic = kafka.unique("comms.requests")
    kafka.create_topics({topic: 8})
    right = partition_of(PERSON, 8)
    wrong = (right + 3) % 8
    kafka.produce([Outgoing(topic, b"value", PERSON, wrong, [("traceparent", b"00-1")])])
    publisher = DurablePublisher(KafkaSettings((kafka.bootstrap,)), name=kafka.unique("origin"))
    await publisher.start()
    [misplaced] = await asyncio.to_thread(kafka.consume_all, topic)
    assert await republish_to_right_partition(publisher, stored(misplaced), key=PERSON, partitions=8)
    records = await asyncio.to_thread(kafka.consume_all, topic)
    [moved] = [record for record in records if record.partition == right]
    assert len(records) == 2
    assert (moved.key, moved.value, moved.headers[0]) == (PERSON, b"value", ("traceparent", b"00-1"))
    assert origin_of(stored(moved)) == Position(topic, wrong, 0)
    assert not await republish_to_right_partition(publisher, stored(moved), key=PERSON, partitions=8)
    await publisher.stop()


def stored(record: Any) -> Message:
    return Message(
        record.topic,
        record.partition,
        record.offset,
        record.timestamp_ms / 1000,
        record.key,
        record.value,
        record.headers,
    )
