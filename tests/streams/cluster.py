"""A broker for the stage tests of one module, with the topics of an installation: their names are fixed, so stages that
are tested elsewhere must not read along."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from schemas.codec import SingleObjectCodec
from schemas.records import Record
from schemas.topics import PartitionCounts, catalogue
from tests.support.brokers import start_own_broker
from tests.support.kafka import Kafka

COUNTS = PartitionCounts(recipient=4, dispatch=8, lifecycle=4, dead=1)
CODEC = SingleObjectCodec()
WAIT_S = 100.0


@contextmanager
def own_cluster(apps: Iterable[str]) -> Iterator[Kafka]:
    """A cluster with every topic of an installation with these apps."""
    broker = start_own_broker()
    try:
        kafka = Kafka(broker.bootstrap)
        topics = catalogue(apps)
        kafka.create_topics({topic.name: COUNTS.of(topic.count) for topic in topics if not topic.stamped_by_broker})
        stamped = {topic.name: COUNTS.of(topic.count) for topic in topics if topic.stamped_by_broker}
        kafka.create_topics(stamped, message_timestamp_type="LogAppendTime")
        yield kafka
    finally:
        broker.close()


def records(kafka: Kafka, topic: str) -> list[Record]:
    """What is in a topic now, by partition and offset."""
    return [CODEC.decode(stored.value or b"") for stored in kafka.consume_all(topic)]


async def until_committed(kafka: Kafka, group: str, topic: str) -> None:
    """Wait until the group has finished all that is in the topic."""

    def missing() -> dict[int, tuple[int | None, int]]:
        committed = kafka.committed(group, topic)
        ends = {partition: end for partition, end in kafka.end_offsets(topic).items() if end}
        return {p: (committed.get(p), end) for p, end in ends.items() if committed.get(p) != end}

    deadline = time.monotonic() + WAIT_S
    while left := await asyncio.to_thread(missing):
        assert time.monotonic() < deadline, f"{topic}: committed and end of {left}"
        await asyncio.sleep(0.1)
