"""What the durable publisher tells Prometheus, by topic."""

from __future__ import annotations

from functools import lru_cache

from prometheus_client import Gauge

from connectors.tallies import Spreads, Tallies

_published = Tallies("commlayer_kafka_published_records", "Records acknowledged by Kafka.", ["topic"])
_published_bytes = Tallies("commlayer_kafka_published_bytes", "Values acknowledged by Kafka, in bytes.", ["topic"])
_rejected = Tallies("commlayer_kafka_rejected_records", "Records that Kafka refused for good.", ["topic"])
_ack_seconds = Spreads(
    "commlayer_kafka_ack_seconds",
    "Time from publish() to the acknowledgement.",
    ["topic"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
unacknowledged = Gauge(
    "commlayer_kafka_unacknowledged_records", "Records handed to publish() and not acknowledged yet.", ["publisher"]
)


class _OfTopic:
    def __init__(self, topic: str) -> None:
        self.records = _published.labels(topic)
        self.bytes = _published_bytes.labels(topic)
        self.seconds = _ack_seconds.labels(topic)


_of_topic = lru_cache(maxsize=1024)(_OfTopic)


def rejected(topic: str) -> None:
    """Count a refused record."""
    _rejected.labels(topic).inc()


def acknowledged(topic: str, size: int, seconds: float) -> None:
    """Count a record of that size that was acknowledged after that time."""
    of_topic = _of_topic(topic)
    of_topic.records.value += 1
    of_topic.bytes.value += size
    of_topic.seconds.observe(seconds)
