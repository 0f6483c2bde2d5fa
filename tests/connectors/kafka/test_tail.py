"""A tail is as fresh as its latest question that was answered and read through, and reads every record once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer

from connectors.kafka.settings import KafkaSettings
from connectors.kafka.tail import NotNow, Tail
from tests.support.brokers import start_own_broker
from tests.support.kafka import Kafka, Outgoing
from tests.support.kafka_broker import Broker
from tests.support.waiting import until

HOUR_MS = 3_600_000
ANSWERED_LATE_S = 0.1
"""Between question and answer on the clock by hand; less than what lies between two questions."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class HandClock:
    """Stands still until a test moves it, and counts how often the tail's thread looked at it."""

    def __init__(self) -> None:
        self.now = 100.0
        self.looks = 0

    def __call__(self) -> float:
        if threading.current_thread().name == "kafka tail":
            self.looks += 1
        return self.now

    async def seen_twice(self) -> None:
        """Between two looks of the tail's thread lies a whole turn of its loop, with its question."""
        before = self.looks
        await until(lambda: self.looks >= before + 2, what="the tail looks at the clock")


@asynccontextmanager
async def tailing(kafka: Kafka, topic: str, **changes: Any) -> AsyncIterator[tuple[Tail, list[bytes]]]:
    """A started tail, and the values that it took."""
    taken: list[bytes] = []
    kept = {"keep_ms": HOUR_MS, "now_ms": now_ms, "take": lambda message: taken.append(message.value()), **changes}
    tail = Tail(KafkaSettings(bootstrap=(kafka.bootstrap,)), [topic], **kept)
    tail.start()
    try:
        yield tail, taken
    finally:
        await tail.stop()


def made(kafka: Kafka, partitions: int = 1) -> str:
    topic = kafka.unique("tail")
    kafka.create_topics({topic: partitions})
    return topic


def write(kafka: Kafka, topic: str, *values: bytes, partition: int = 0) -> None:
    kafka.produce([Outgoing(topic, value, partition=partition) for value in values])


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    """One that these tests alone use and may pause."""
    own = start_own_broker()
    yield own
    own.close()


async def test_an_answer_proves_only_what_was_there_when_it_was_asked_for(broker: Broker) -> None:
    kafka = Kafka(broker.bootstrap)
    clock = HandClock()
    async with tailing(kafka, made(kafka), clock=clock) as (tail, _):
        for _ in range(5):  # a machine that has other things to do may let a question run out: then another one
            clock.now += 1.0
            await until(lambda: tail.age_s() == 0.0, what="an answer")
            broker.pause()
            try:
                clock.now += 1.0
                await clock.seen_twice()
                assert tail.age_s() == 1.0  # asked, and not answered
                clock.now += ANSWERED_LATE_S
            finally:
                broker.resume()
            deadline = time.monotonic() + 3.0
            while tail.age_s() > 1.0 and time.monotonic() < deadline:
                await clock.seen_twice()
            if tail.age_s() <= 1.0:
                break
        assert tail.age_s() == pytest.approx(ANSWERED_LATE_S)


async def test_a_broker_that_stands_still_makes_it_stale_and_it_recovers(broker: Broker) -> None:
    kafka = Kafka(broker.bootstrap)
    topic = made(kafka)
    async with tailing(kafka, topic) as (tail, taken):
        await tail.read_once()
        broker.pause()
        try:
            # Longer than a question may take, and than a broker may be silent: its partitions get a new leader epoch.
            await until(lambda: tail.age_s() > 6.0, what="staleness")
        finally:
            broker.resume()
        await until(lambda: tail.age_s() < 1.0, what="freshness after the pause")
        write(kafka, topic, b"later")
        await until(lambda: taken == [b"later"], what="what was written after the pause")


async def test_after_its_broker_was_killed_and_came_back_a_tail_is_fresh_again(own_kafka: Broker) -> None:
    """The leader's epoch is another then, which librdkafka's admin client does not learn: a tail that stayed stale held
    back every message of a dispatch process until its restart."""
    kafka = Kafka(own_kafka.bootstrap)
    topic = made(kafka, partitions=2)
    async with tailing(kafka, topic) as (tail, taken):
        await tail.read_once()
        await asyncio.to_thread(own_kafka.kill)
        await asyncio.to_thread(own_kafka.restart)
        await until(lambda: tail.age_s() < 1.0, 45, "the tail to be fresh")
        await asyncio.to_thread(kafka.produce, [Outgoing(topic, b"after", partition=1)])
        await until(lambda: taken == [b"after"], 30)


async def test_where_nothing_lies_in_the_window_it_begins_at_the_end(kafka: Kafka) -> None:
    topic = made(kafka, partitions=2)
    write(kafka, topic, b"old", b"old too")
    async with tailing(kafka, topic, now_ms=lambda: now_ms() + 2 * HOUR_MS) as (tail, taken):
        await tail.read_once()
        assert taken == []
        write(kafka, topic, b"new", partition=0)
        write(kafka, topic, b"first", partition=1)
        await until(lambda: sorted(taken) == [b"first", b"new"], what="what was written since")


async def test_what_lies_in_the_window_is_taken_before_it_counts_as_read(kafka: Kafka) -> None:
    topic = made(kafka)
    values = [b"%d" % number for number in range(1200)]
    write(kafka, topic, *values)
    async with tailing(kafka, topic) as (tail, taken):
        assert tail.age_s() == float("inf")
        await tail.read_once()
        assert taken == values


async def test_holes_at_the_end_do_not_keep_it_stale(kafka: Kafka) -> None:
    """The end of a transaction is a record that no consumer is given: the log ends behind what can be read."""
    topic = made(kafka)
    _abort(kafka, topic)
    async with tailing(kafka, topic) as (tail, taken):
        await until(lambda: tail.age_s() < 1.0, what="freshness behind a hole")
        _abort(kafka, topic)
        written = time.monotonic()
        await until(lambda: tail.age_s() < time.monotonic() - written, what="freshness behind another hole")
        write(kafka, topic, b"behind")
        await until(lambda: b"behind" in taken, what="what lies behind the holes")


async def test_a_record_that_cannot_be_taken_yet_is_taken_later_once_and_in_order(kafka: Kafka) -> None:
    topic = made(kafka)
    taken: list[bytes] = []
    refusals: list[bytes] = []
    ready = threading.Event()

    def take(message: Message) -> None:
        if message.value() == b"3" and not ready.is_set():
            refusals.append(b"3")
            raise NotNow("the schema is not loaded")
        taken.append(message.value() or b"")

    values = [b"%d" % number for number in range(6)]
    write(kafka, topic, *values)
    async with tailing(kafka, topic, take=take) as (tail, _):
        await until(lambda: len(refusals) >= 2, what="another try")
        assert taken == values[:3]
        assert tail.age_s() == float("inf")  # what is not taken is not read
        ready.set()
        await until(lambda: tail.age_s() < 1.0, what="freshness after the refusals")
        assert taken == values


async def test_a_topic_that_is_made_later_is_read_from_its_start(kafka: Kafka) -> None:
    topic = kafka.unique("tail")
    async with tailing(kafka, topic) as (tail, taken):
        kafka.create_topics({topic: 1})
        write(kafka, topic, b"first")
        await until(lambda: taken == [b"first"], what="the first record")
        await until(lambda: tail.age_s() < 1.0, what="freshness")


def _abort(kafka: Kafka, topic: str) -> None:
    producer = Producer({**kafka.config, "transactional.id": kafka.unique("aborts"), "log_level": 0})
    _patiently(lambda: producer.init_transactions(30))
    producer.begin_transaction()
    producer.produce(topic, b"taken back", partition=0)
    producer.flush(30)
    _patiently(lambda: producer.abort_transaction(30))


def _patiently(step: Callable[[], None]) -> None:
    """A fresh broker's coordinator of transactions may need another question."""
    for _ in range(3):
        try:
            step()
        except Exception as error:
            if not error.args[0].retriable():
                raise
        else:
            return
    step()


async def test_a_topic_that_is_made_anew_is_read_from_its_start_and_is_not_fresh_before(kafka: Kafka) -> None:
    topic = made(kafka)
    write(kafka, topic, b"1", b"2", b"3")
    async with tailing(kafka, topic) as (tail, taken):
        await tail.read_once()
        await until(lambda: taken == [b"1", b"2", b"3"], what="all is taken")
        kafka.delete_topics([topic])
        kafka.create_topics({topic: 1})
        write(kafka, topic, b"4")
        await until(lambda: taken == [b"1", b"2", b"3", b"4"], what="the new topic is read")
        write(kafka, topic, b"5")
        await until(lambda: taken[4:] == [b"5"], what="it goes on")
        await until(lambda: tail.age_s() < 1.0, what="it is fresh again")


async def test_a_topic_made_anew_that_holds_more_than_was_read_is_read_from_its_start(kafka: Kafka) -> None:
    topic = made(kafka)
    write(kafka, topic, b"1")
    async with tailing(kafka, topic) as (_, taken):
        await until(lambda: taken == [b"1"], what="all is taken")
        kafka.delete_topics([topic])
        kafka.create_topics({topic: 1})
        write(kafka, topic, b"2", b"3", b"4", b"5")
        await until(lambda: taken == [b"1", b"2", b"3", b"4", b"5"], what="the new topic is read")


async def test_one_that_is_told_to_stop_while_no_broker_answers_asks_nothing_more(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked: list[str] = []
    may_answer, tail = (
        threading.Event(),
        Tail(
            KafkaSettings(bootstrap=("127.0.0.1:1",)),
            ["a", "b"],
            keep_ms=HOUR_MS,
            take=lambda message: None,
            now_ms=now_ms,
        ),
    )

    class Silent(Consumer):  # type: ignore[misc]  # untyped
        def list_topics(self, topic: str, timeout: float) -> Any:
            asked.append(topic)
            may_answer.wait(60)
            return SimpleNamespace(topics={topic: SimpleNamespace(error=None, partitions={0: None})})

    monkeypatch.setattr("connectors.kafka.tail.Consumer", Silent)
    monkeypatch.setattr("connectors.kafka.tail.topic_ids", lambda admin, topics: {})
    tail.start()
    await until(lambda: asked)
    stopping = asyncio.create_task(tail.stop())
    await asyncio.sleep(0)
    may_answer.set()
    await stopping
    assert asked == ["a"]
    assert "begins anew" not in caplog.text
