"""What the durable publisher tells Prometheus, by topic."""

from __future__ import annotations

from collections import Counter as Tally
from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

_published = Counter("commlayer_kafka_published_records", "Records acknowledged by Kafka.", ["topic"])
_published_bytes = Counter("commlayer_kafka_published_bytes", "Values acknowledged by Kafka, in bytes.", ["topic"])
_rejected = Counter("commlayer_kafka_rejected_records", "Records that Kafka refused for good.", ["topic"])
_ack_seconds = Histogram(
    "commlayer_kafka_ack_seconds",
    "Time from publish() to the acknowledgement.",
    ["topic"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60),
)
unacknowledged = Gauge(
    "commlayer_kafka_unacknowledged_records", "Records handed to publish() and not acknowledged yet.", ["publisher"]
)


@lru_cache(maxsize=1024)
def _ack_time(topic: str) -> Histogram:
    """Finding the histogram of these labels each time would cost as much as observing."""
    return _ack_seconds.labels(topic)


def rejected(topic: str) -> None:
    """Count a refused record."""
    _rejected.labels(topic).inc()


class Acknowledged:
    """Counts the records of one batch of acknowledgements, and adds them up at its end: counters cost a lock each."""

    def __init__(self) -> None:
        self._records: Tally[str] = Tally()
        self._bytes: Tally[str] = Tally()

    def add(self, topic: str, size: int, seconds: float) -> None:
        """A record of that size was acknowledged after that time."""
        self._records[topic] += 1
        self._bytes[topic] += size
        _ack_time(topic).observe(seconds)

    def close(self) -> bool:
        """Add up. Returns whether there was any record."""
        for topic, count in self._records.items():
            _published.labels(topic).inc(count)
            _published_bytes.labels(topic).inc(self._bytes[topic])
        return bool(self._records)
