"""Publishing to a real Kafka: what arrives where, and what the sender is told."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from commlayer_client import (
    Fate,
    InvalidRequest,
    MessageFields,
    Publisher,
    PublishError,
    Receipt,
    SyncPublisher,
)

from connectors.kafka.partitioning import partition_of
from schemas.codec import RegistryCodec, SingleObjectCodec
from schemas.ids import message_id_by_key, message_id_by_origin
from schemas.records import Cancellation, Channel, Content, MessageRequest
from schemas.registry import Registry
from schemas.releasing import register_all
from schemas.topics import request_topic
from tests.support.kafka import Kafka, Stored

_PARTITIONS = 16
_CODEC = SingleObjectCodec()


@pytest.fixture
def app(kafka: Kafka) -> str:
    """An app with its two topics."""
    name = kafka.unique("app")
    kafka.create_topics({request_topic(name, urgent=urgent): _PARTITIONS for urgent in (False, True)})
    return name


async def _stored(kafka: Kafka, topic: str) -> list[Stored]:
    return await asyncio.to_thread(kafka.consume_all, topic)


def _read(record: Stored) -> Any:
    assert record.value is not None
    return _CODEC.decode(record.value)


async def test_a_request_arrives_whole_where_its_recipient_belongs(kafka: Kafka, app: str) -> None:
    async with Publisher(app, kafka.bootstrap, clock=lambda: 1_763_900_000_000) as publisher:
        receipt = await publisher.send(
            to="+1 415 555 0123",
            category="otp",
            body="Your code is 123456",
            idempotency_key="row-7",
            channel="whatsapp",
            traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        )
    [record] = await _stored(kafka, request_topic(app))
    assert _read(record) == MessageRequest(
        recipient="+14155550123",
        category="otp",
        content=Content(body="Your code is 123456"),
        channel=Channel.WHATSAPP,
        idempotency_key="row-7",
        created_at=1_763_900_000_000,
    )
    assert record.key == b"+14155550123"
    assert record.partition == partition_of(b"+14155550123", _PARTITIONS)
    assert record.headers == (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)
    assert receipt == Receipt(
        message_id_by_key(app, "+14155550123", "row-7"), request_topic(app), record.partition, record.offset, "row-7"
    )


async def test_everybodys_partition_is_that_of_the_house(kafka: Kafka, app: str) -> None:
    people = [f"+1415555{number:04d}" for number in range(200)]
    async with Publisher(app, kafka.bootstrap) as publisher:
        receipts = await publisher.send_many({"to": person, "category": "otp", "body": "x"} for person in people)
    partitions = [receipt.partition for receipt in receipts if isinstance(receipt, Receipt)]
    assert partitions == [partition_of(person.encode(), _PARTITIONS) for person in people]


async def test_a_key_is_generated_and_told_and_a_retry_with_it_is_the_same_message(kafka: Kafka, app: str) -> None:
    async with Publisher(app, kafka.bootstrap) as publisher:
        first = await publisher.send(to="+14155550123", category="otp", body="x")
        other = await publisher.send(to="+14155550123", category="otp", body="x")
        again = await publisher.send(to="+14155550123", category="otp", body="x", idempotency_key=first.idempotency_key)
    assert uuid.UUID(first.idempotency_key).version == 4
    assert first.message_id == again.message_id != other.message_id
    assert [_read(record).idempotency_key for record in await _stored(kafka, request_topic(app))] == [
        first.idempotency_key,
        other.idempotency_key,
        first.idempotency_key,
    ]


async def test_without_generated_keys_the_id_is_that_of_the_place(kafka: Kafka, app: str) -> None:
    async with Publisher(app, kafka.bootstrap, generate_keys=False) as publisher:
        receipt = await publisher.send(to="+14155550123", category="otp", body="x")
    [record] = await _stored(kafka, request_topic(app))
    assert _read(record).idempotency_key is None
    assert receipt.idempotency_key is None
    assert receipt.message_id == message_id_by_origin(record.topic, record.partition, record.offset)


@pytest.mark.parametrize(
    ("fields", "urgent"),
    [({"category": "otp"}, True), ({"category": "news"}, False), ({"category": "news", "urgent": True}, True),
     ({"category": "otp", "urgent": False}, False)],
)  # fmt: skip
async def test_urgent_requests_have_their_own_topic(
    kafka: Kafka, app: str, fields: dict[str, Any], urgent: bool
) -> None:
    async with Publisher(app, kafka.bootstrap, urgent_categories=["otp"]) as publisher:
        receipt = await publisher.send(to="+14155550123", body="x", **fields)
    assert receipt.topic == request_topic(app, urgent=urgent)


async def test_a_cancellation_follows_its_request(kafka: Kafka, app: str) -> None:
    async with Publisher(app, kafka.bootstrap) as publisher:
        sent = await publisher.send(to="+14155550123", category="otp", body="x", idempotency_key="row-7")
        by_key = await publisher.cancel(to="+1 415 555 0123", idempotency_key="row-7", reason="sold out")
        by_id = await publisher.cancel(to="+14155550123", message_id=sent.message_id, urgent=True)
    assert sent.message_id == by_key.message_id == by_id.message_id
    _, cancellation = await _stored(kafka, request_topic(app))
    assert cancellation.partition == sent.partition
    read = _read(cancellation)
    assert isinstance(read, Cancellation)
    assert (read.recipient, read.idempotency_key, read.reason) == ("+14155550123", "row-7", "sold out")
    assert by_id.topic == request_topic(app, urgent=True)


def _many() -> list[MessageFields]:
    good: list[MessageFields] = [
        {"to": f"+1415555{number:04d}", "category": "news", "body": str(number), "idempotency_key": str(number)}
        for number in range(60)
    ]
    good[20]["body"] = ""
    good[40]["to"] = "nobody"
    return good


def _check_many(outcomes: list[Receipt | PublishError], app: str) -> None:
    refused = {index: outcome for index, outcome in enumerate(outcomes) if isinstance(outcome, PublishError)}
    assert {index: getattr(error, "field", None) for index, error in refused.items()} == {20: "body", 40: "to"}
    for index, outcome in enumerate(outcomes):
        if isinstance(outcome, Receipt):
            assert outcome.message_id == message_id_by_key(app, f"+1415555{index:04d}", str(index))


async def test_many_have_an_outcome_each_in_order_also_when_the_producers_queue_is_small(
    kafka: Kafka, app: str
) -> None:
    async with Publisher(app, kafka.bootstrap, config={"queue.buffering.max.messages": 2}) as publisher:
        _check_many(await publisher.send_many(_many()), app)
    assert len(await _stored(kafka, request_topic(app))) == 58


def test_the_synchronous_publisher_does_the_same(kafka: Kafka, app: str) -> None:
    with SyncPublisher(app, kafka.bootstrap, config={"queue.buffering.max.messages": 2}) as publisher:
        publisher.check()
        receipt = publisher.send(to="+14155550123", category="otp", body="x", idempotency_key="row-7")
        assert receipt.message_id == message_id_by_key(app, "+14155550123", "row-7")
        assert publisher.cancel(to="+14155550123", idempotency_key="row-7").message_id == receipt.message_id
        _check_many(publisher.send_many(_many()), app)
        with pytest.raises(InvalidRequest) as caught:
            publisher.send(to="+14155550123", category="otp", body=5)  # type: ignore[arg-type]  # wrong on purpose
        assert caught.value.field == "body"
    assert len(kafka.consume_all(request_topic(app))) == 60


def test_one_publisher_serves_many_threads(kafka: Kafka, app: str) -> None:
    receipts: list[Receipt] = []
    with SyncPublisher(app, kafka.bootstrap) as publisher:

        def send(thread: int) -> None:
            for number in range(20):
                key = f"{thread}-{number}"
                receipts.append(publisher.send(to="+14155550123", category="otp", body=key, idempotency_key=key))

        threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len({(receipt.partition, receipt.offset) for receipt in receipts}) == 160
    by_offset = {record.offset: _read(record).idempotency_key for record in kafka.consume_all(request_topic(app))}
    assert all(by_offset[receipt.offset] == receipt.idempotency_key for receipt in receipts)


def test_one_publisher_serves_event_loops_one_after_another(kafka: Kafka, app: str) -> None:
    publisher = Publisher(app, kafka.bootstrap)
    for number in range(2):
        receipt = asyncio.run(publisher.send(to="+14155550123", category="otp", body=str(number)))
        assert receipt.offset == number
    asyncio.run(publisher.close())


async def test_a_wait_that_is_cancelled_does_not_take_the_request_back(kafka: Kafka, app: str) -> None:
    async with Publisher(app, kafka.bootstrap) as publisher:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(publisher.send(to="+14155550123", category="otp", body="x"), timeout=0)
        sending = asyncio.ensure_future(publisher.send(to="+14155550123", category="otp", body="y"))
        await asyncio.sleep(0)  # it is handed over now
        sending.cancel()
        await publisher.send(to="+14155550123", category="otp", body="z")
    bodies = [_read(record).content.body for record in await _stored(kafka, request_topic(app))]
    assert bodies[-2:] == ["y", "z"]


async def test_a_closed_publisher_says_so(kafka: Kafka, app: str) -> None:
    publisher = Publisher(app, kafka.bootstrap)
    await publisher.send(to="+14155550123", category="otp", body="x")
    await publisher.close()
    await publisher.close()
    with pytest.raises(RuntimeError, match="closed"):
        await publisher.send(to="+14155550123", category="otp", body="x")


async def test_closing_waits_for_what_is_on_its_way(kafka: Kafka, app: str) -> None:
    publisher = Publisher(app, kafka.bootstrap)
    sending = [
        asyncio.ensure_future(publisher.send(to="+14155550123", category="otp", body=str(number)))
        for number in range(50)
    ]
    await asyncio.sleep(0)
    await publisher.close()
    assert len({receipt.offset for receipt in await asyncio.gather(*sending)}) == 50


def test_a_forked_child_connects_anew_and_both_go_on(kafka: Kafka, app: str, tmp_path: Path) -> None:
    script = textwrap.dedent(
        """
        import os, sys
        from commlayer_client import SyncPublisher
        publisher = SyncPublisher(sys.argv[1], sys.argv[2])
        def send(body):
            print(publisher.send(to="+14155550123", category="otp", body=body).offset, flush=True)
        send("parent before")
        child = os.fork()
        if child == 0:
            send("child")
            publisher.close()
            sys.exit(0)
        assert os.waitpid(child, 0)[1] == 0
        send("parent after")
        publisher.close()
        """
    )
    ran = subprocess.run(
        [sys.executable, "-c", script, app, kafka.bootstrap], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert [_read(record).content.body for record in kafka.consume_all(request_topic(app))] == [
        "parent before",
        "child",
        "parent after",
    ]


async def test_with_a_registry_records_are_in_confluent_wire_format(kafka: Kafka, app: str, registry_url: str) -> None:
    registry = Registry(registry_url)
    ids = register_all(registry)
    async with Publisher(app, kafka.bootstrap, registry_url=registry_url) as publisher:
        await publisher.check()
        await publisher.send(to="+14155550123", category="otp", body="x")
    [record] = await _stored(kafka, request_topic(app))
    assert record.value is not None
    assert record.value[:5] == b"\x00" + ids["commlayer.MessageRequest"].to_bytes(4, "big")
    codec = RegistryCodec(registry)
    codec.load(ids["commlayer.MessageRequest"])
    read = codec.decode(record.value)
    assert isinstance(read, MessageRequest)
    assert read.content.body == "x"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"app": "Shop"}, "app"),
        ({"app": "a.b"}, "app"),
        ({"default_region": "Switzerland"}, "default_region"),
        ({"timeout_s": 0.1}, "timeout_s"),
        ({"config": {"partitioner": "random"}}, "partitioner"),
        ({"config": {"acks": "1", "enable.idempotence": False}}, "acks, enable.idempotence"),
    ],
)
@pytest.mark.parametrize("kind", [Publisher, SyncPublisher])
def test_settings_that_cannot_be_right_are_refused_at_once(
    settings: dict[str, Any], words: str, kind: Callable[..., object]
) -> None:
    with pytest.raises(ValueError, match=words):
        kind(**{"app": "shop", "bootstrap": "127.0.0.1:1", **settings})


async def test_a_refused_request_is_certainly_not_published(kafka: Kafka, app: str) -> None:
    async with Publisher(app, kafka.bootstrap) as publisher:
        with pytest.raises(InvalidRequest) as caught:
            await publisher.send(to="+14155550123", category="otp", body="")
    assert caught.value.fate is Fate.NOT_PUBLISHED
    assert await _stored(kafka, request_topic(app)) == []
