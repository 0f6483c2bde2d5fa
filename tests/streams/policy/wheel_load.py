"""Messages on the wheel, as many as wanted: what the short and the long test of it share."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable

from confluent_kafka import Producer

from schemas.records import Deferral, Stage
from schemas.topics import deferral_topic
from tests.streams.cluster import CODEC
from tests.support.kafka import Kafka

from .cluster import wall_ms
from .installation import HOUR, request

_FLUSH_S = 300.0


def recipient(number: int) -> str:
    """Of the message of this number."""
    return f"+4179{number:07d}"


def deferral(number: int, due_at: int) -> Deferral:
    """A code for person `number` that waits for its moment, as policy would have deferred it."""
    now = wall_ms()
    return Deferral(
        message_id=str(uuid.UUID(int=number)),
        round=1,
        app="login",
        due_at=due_at,
        reason="schedule",
        by=Stage.POLICY,
        request=request(recipient=recipient(number), created_at=now),
        origin=f"comms.requests.login:0:{number}",
        deadline=due_at + HOUR,
        at=now,
    )


def put(kafka: Kafka, tier: str, deferrals: Iterable[Deferral], *, written_at: int | None = None) -> None:
    """Write them to a tier and wait for the acknowledgements; `written_at` (epoch milliseconds) to let them have waited
    there since then."""
    producer = Producer({**kafka.config, "acks": "all", "partitioner": "murmur2_random", "linger.ms": 20})
    failed: list[object] = []
    topic = deferral_topic(tier)

    def acked(error: object, message: object) -> None:
        if error is not None:
            failed.append(error)

    for each in deferrals:
        assert each.request is not None
        value, key = CODEC.encode(each), each.request.recipient.encode()
        while True:
            try:
                producer.produce(topic, value, key, on_delivery=acked, timestamp=written_at or 0)
                break
            except BufferError:
                producer.poll(0.1)
        producer.poll(0)
    deadline = time.monotonic() + _FLUSH_S
    while producer.flush(10):
        assert time.monotonic() < deadline, "the wheel's records were not acknowledged"
    assert not failed, failed[:5]
