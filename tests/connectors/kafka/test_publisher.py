"""The durable publisher while Kafka is there: what is written, in which order, and what is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable

import pytest
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType
from prometheus_client import REGISTRY

from connectors.health import Health
from connectors.kafka.partitioning import partition_of
from connectors.kafka.publisher import DurablePublisher, Position, PublisherClosed, PublishRejected
from connectors.kafka.settings import KafkaSettings
from tests.support.kafka import Kafka
from tests.support.kafka_broker import Broker
from tests.support.users import settings_of
from tests.support.waiting import until


@pytest.fixture
async def publisher(kafka: Kafka) -> AsyncIterator[DurablePublisher]:
    publisher = DurablePublisher(KafkaSettings((kafka.bootstrap,)), name=kafka.unique("publisher"))
    await publisher.start()
    await publisher.warm()
    yield publisher
    await publisher.stop()


def make_topic(kafka: Kafka, partitions: int = 1, *, max_message_bytes: int = 1_048_588) -> str:
    topic = kafka.unique("published")
    kafka.create_topics({topic: partitions}, max_message_bytes=str(max_message_bytes))
    return topic


async def test_an_acknowledged_record_lies_where_its_position_says(kafka: Kafka, publisher: DurablePublisher) -> None:
    topic = make_topic(kafka, 5)
    keyed = await publisher.publish(topic, b"value", key=b"+14155550100", headers=[("traceparent", b"00-1")])
    explicit = await publisher.publish(topic, None, key=b"gone", partition=3)
    assert keyed == Position(topic, partition_of(b"+14155550100", 5), 0)
    records = {Position(r.topic, r.partition, r.offset): (r.key, r.value, r.headers) for r in kafka.consume_all(topic)}
    assert records == {
        keyed: (b"+14155550100", b"value", (("traceparent", b"00-1"),)),
        explicit: (b"gone", None, ()),
    }
    assert explicit.partition == 3


@pytest.mark.parametrize("buffer_records", [100_000, 50])
async def test_records_of_a_partition_keep_the_order_of_the_calls(kafka: Kafka, buffer_records: int) -> None:
    """With a buffer of 50, librdkafka's queue is full almost all the time: further records wait in front of it, also
    when it has room again and a busy loop has not heard of that yet."""
    topic = make_topic(kafka, 3)
    publisher = DurablePublisher(
        KafkaSettings((kafka.bootstrap,)), name=kafka.unique("publisher"), buffer_records=buffer_records
    )
    await publisher.start()
    await publisher.warm()
    futures = []
    for n in range(3000):
        futures.append(publisher.publish(topic, b"%d" % n, partition=n % 3))
        if n % 100 == 0:
            time.sleep(0.005)  # noqa: ASYNC251  # the busy loop
    positions = await asyncio.gather(*futures)
    await publisher.stop()
    assert [(p.partition, p.offset) for p in positions] == [(n % 3, n // 3) for n in range(3000)]
    for partition in range(3):
        stored = [int(r.value or b"") for r in kafka.consume_all(topic) if r.partition == partition]
        assert stored == list(range(partition, 3000, 3))


async def test_records_that_wait_for_company_keep_their_order_and_come_between_others(
    kafka: Kafka, publisher: DurablePublisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of GATHERED topics are held back while others are under way, and not longer."""
    topic, held_back = make_topic(kafka), make_topic(kafka)
    monkeypatch.setattr("connectors.kafka.publisher.GATHERED", {held_back})
    await publisher.publish(held_back, b"alone")
    others, gathered = [], []
    for n in range(200):
        others.append(publisher.publish(topic, b"%d" % n))
        gathered.append(publisher.publish(held_back, b"%d" % n))
        await asyncio.sleep(0.0002)
    assert [position.offset for position in await asyncio.gather(*others)] == list(range(200))
    assert [position.offset for position in await asyncio.gather(*gathered)] == list(range(1, 201))


async def test_what_waits_for_company_is_written_before_a_stop(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> None:
    topic, held_back = make_topic(kafka), make_topic(kafka)
    monkeypatch.setattr("connectors.kafka.publisher.GATHERED", {held_back})
    publisher = DurablePublisher(KafkaSettings((kafka.bootstrap,)), name=kafka.unique("publisher"))
    await publisher.start()
    under_way = [publisher.publish(topic, b"x"), publisher.publish(held_back, b"x")]
    await publisher.stop()
    assert all(future.done() and not future.exception() for future in under_way)


async def test_a_record_that_is_too_large_is_refused_and_its_neighbours_are_written(
    kafka: Kafka, publisher: DurablePublisher
) -> None:
    topic = make_topic(kafka)
    before = publisher.publish(topic, b"before")
    with pytest.raises(PublishRejected, match=f"{topic}: .*too large"):
        await publisher.publish(topic, b"x" * 2_000_000)
    await before
    await publisher.publish(topic, b"after")
    assert [record.value for record in kafka.consume_all(topic)] == [b"before", b"after"]
    assert publisher.health() == Health(True)


async def test_a_record_that_the_broker_finds_too_large_is_refused(kafka: Kafka, publisher: DurablePublisher) -> None:
    topic = make_topic(kafka, max_message_bytes=10_000)
    await publisher.publish(topic, b"before")
    with pytest.raises(PublishRejected, match=f"{topic}: .*too large"):
        await publisher.publish(topic, b"x" * 50_000)
    await publisher.publish(topic, b"after")
    assert [record.value for record in kafka.consume_all(topic)] == [b"before", b"after"]


async def test_an_unknown_topic_is_refused_while_others_are_served(kafka: Kafka, publisher: DurablePublisher) -> None:
    topic = make_topic(kafka)
    lost = publisher.publish(kafka.unique("missing"), b"x")
    for _ in range(10):
        await publisher.publish(topic, b"x")
    assert not lost.done()
    with pytest.raises(PublishRejected, match="Unknown topic or partition"):
        await lost


async def test_an_unknown_partition_is_refused(kafka: Kafka, publisher: DurablePublisher) -> None:
    topic = make_topic(kafka, 2)
    with pytest.raises(PublishRejected, match="Unknown partition"):
        await publisher.publish(topic, b"x", partition=2)
    with pytest.raises(PublishRejected, match="Unknown partition"):  # known by now, but it may have grown since
        await publisher.publish(topic, b"x", partition=2)


async def test_a_stop_waits_for_a_record_that_is_refused_and_no_longer(
    kafka: Kafka, publisher: DurablePublisher
) -> None:
    topic = make_topic(kafka, 2)
    await publisher.publish(topic, b"x", partition=1)
    lost = publisher.publish(topic, b"x", partition=2)
    async with asyncio.timeout(30):
        await publisher.stop(timeout_s=300)
    with pytest.raises(PublishRejected, match="Unknown partition"):
        await lost


async def test_a_partition_that_its_topic_has_got_since_is_written_to_in_order(
    kafka: Kafka, publisher: DurablePublisher
) -> None:
    topic = make_topic(kafka, 2)
    await publisher.publish(topic, b"known", partition=1)
    kafka.add_partitions([topic], 4)
    unknown = publisher._unknown
    count = unknown._count

    async def counted_late(asked: str) -> int:
        found = await count(asked)
        await asyncio.sleep(0.2)  # librdkafka knows already: what is published now must not overtake what waits
        return found

    unknown._count = counted_late
    lost = publisher.publish(topic, b"nowhere", partition=4)
    written = []
    for number in range(300):
        written.append(publisher.publish(topic, str(number).encode(), partition=3))
        await asyncio.sleep(0.001)
    await asyncio.gather(*written)
    with pytest.raises(PublishRejected, match="Unknown partition"):
        await lost
    records = [record for record in kafka.consume_all(topic) if record.partition == 3]
    assert [record.value for record in records] == [str(number).encode() for number in range(300)]


@pytest.mark.parametrize("known", [False, True], ids=["before the topic is known", "of a known topic"])
async def test_a_partition_of_which_the_brokers_hear_while_it_is_asked_for_is_written_to_in_order(
    kafka: Kafka, publisher: DurablePublisher, known: bool
) -> None:
    topic = make_topic(kafka, 2)
    if known:
        await publisher.publish(topic, b"known", partition=1)
    written = []
    for number in range(100):
        written.append(
            publisher.publish(topic, str(number).encode(), key=b"k", partition=2, headers=[("n", b"%d" % number)])
        )
        await asyncio.sleep(0.002)
    assert not any(each.done() for each in written)
    kafka.add_partitions([topic], 3)
    await asyncio.gather(*written)
    records = [record for record in kafka.consume_all(topic) if record.partition == 2]
    assert [(record.key, record.value, record.headers) for record in records] == [
        (b"k", str(number).encode(), (("n", str(number).encode()),)) for number in range(100)
    ]


async def test_a_value_that_is_no_bytes_is_the_callers_error_and_leaves_nothing_behind(
    kafka: Kafka, publisher: DurablePublisher
) -> None:
    with pytest.raises(TypeError):
        publisher.publish("any", 17)  # type: ignore[arg-type]  # that is the point
    await publisher.stop()  # at once: nothing is outstanding


async def test_what_is_published_is_counted_by_topic(kafka: Kafka, publisher: DurablePublisher) -> None:
    topic = make_topic(kafka)
    await asyncio.gather(*(publisher.publish(topic, b"12345") for _ in range(4)))
    with pytest.raises(PublishRejected):
        await publisher.publish(topic, b"x" * 2_000_000)

    def sample(name: str) -> float | None:
        return REGISTRY.get_sample_value(name, {"topic": topic})

    assert sample("commlayer_kafka_published_records_total") == 4
    assert sample("commlayer_kafka_published_bytes_total") == 20
    assert sample("commlayer_kafka_ack_seconds_count") == 4
    assert sample("commlayer_kafka_rejected_records_total") == 1


async def test_a_stopped_publisher_takes_nothing(kafka: Kafka) -> None:
    publisher = DurablePublisher(KafkaSettings((kafka.bootstrap,)), name=kafka.unique("publisher"))
    assert publisher.health() == Health(False, "not started")
    await publisher.start()
    topic = make_topic(kafka)
    under_way = [publisher.publish(topic, b"x") for _ in range(100)]
    await publisher.stop()
    assert all(future.done() and not future.exception() for future in under_way)
    with pytest.raises(PublisherClosed, match="stopped"):
        await publisher.publish(topic, b"x")
    assert publisher.health() == Health(False, "stopped")


async def test_an_owner_that_gave_up_waiting_disturbs_nobody(kafka: Kafka, publisher: DurablePublisher) -> None:
    topic = make_topic(kafka)
    given_up = publisher.publish(topic, b"1")
    given_up.cancel()
    await publisher.publish(topic, b"2")
    assert [record.value for record in kafka.consume_all(topic)] == [b"1", b"2"]


async def test_a_fatal_error_fails_what_is_under_way_and_tells_the_process(
    sasl_broker: Broker, sasl_user: Callable[[str], Kafka]
) -> None:
    """A user who may see topics but write none gets no producer id, and librdkafka gives up."""
    root = Kafka(sasl_broker.bootstrap)
    root.create_topics({"seen": 1}, exist_ok=True)
    may_describe = AclBinding(
        ResourceType.TOPIC,
        "seen",
        ResourcePatternType.LITERAL,
        "User:nobody",
        "*",
        AclOperation.DESCRIBE,
        AclPermissionType.ALLOW,
    )
    for done in root.admin.create_acls([may_describe]).values():
        done.result(30)
    fatal: list[str] = []
    publisher = DurablePublisher(settings_of(sasl_user("nobody")), name="nobody", on_fatal=fatal.append)
    await publisher.start()
    under_way = publisher.publish("seen", b"x")
    with pytest.raises(PublisherClosed, match="Cluster authorization failed"):
        await publisher.warm()
    with pytest.raises(PublisherClosed, match="Cluster authorization failed"):
        await under_way
    with pytest.raises(PublisherClosed, match="Cluster authorization failed"):
        await publisher.publish("seen", b"x")
    assert publisher.health() == Health(False, fatal[0])
    await publisher.stop()
    assert len(fatal) == 1


async def test_a_wrong_password_is_waited_out_and_named_in_health(
    sasl_broker: Broker, sasl_user: Callable[[str], Kafka]
) -> None:
    publisher = DurablePublisher(settings_of(sasl_user("typist"), password="not the password"), name="typist")
    await publisher.start()
    future = publisher.publish("t", b"x")
    await until(lambda: publisher.health().detail.startswith("Kafka away since "))
    assert "invalid credentials" in publisher.health().detail
    assert not future.done()
    await publisher.stop(timeout_s=0.5)
    with pytest.raises(PublisherClosed):
        await future
