"""Reads stretches of a topic again, beside the group: to restore what a stage remembers, and to find what it forgot.

All of it blocks: call it in a thread.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from .asking import ASK_TIMEOUT_S, Stopped, answered, passes, reader
from .settings import KafkaSettings
from .topic_partition import TP

BATCH = 1000
POLL_S = 0.2  # how late a stop is noticed


class Stretch(NamedTuple):
    """Offsets of one partition: from `start` up to, and without, `end`."""

    start: int
    end: int


class LogReader:
    """Reads what is in the log now. One instance, one thread at a time."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._config: dict[str, object] = {
            **settings.reader_config("commlayer-log"),
            "auto.offset.reset": "earliest",  # a start that retention overtook: what is left is read
            "isolation.level": "read_committed",
        }
        self.stopped = threading.Event()

    def stop(self) -> None:
        """End what is being read, for good, with `Stopped`. Thread-safe."""
        self.stopped.set()

    def recent(self, partitions: Iterable[TP], since_ms: int, most: int) -> dict[TP, Stretch]:
        """What was written to these partitions from `since_ms` on (epoch milliseconds UTC) until now, the last `most`
        records at most.

        Raises:
            Stopped: told to.
            KafkaException: Kafka refuses for good.
        """
        with reader(self._config) as consumer:
            asked = [TopicPartition(tp.topic, tp.partition, since_ms) for tp in partitions]
            answers = answered(lambda: consumer.offsets_for_times(asked, timeout=ASK_TIMEOUT_S), self.stopped)
            stretches = {}
            for answer in answers:
                tp = TP(answer.topic, answer.partition)
                first, end = self._bounds(consumer, tp)
                start = answer.offset if answer.offset >= 0 else end  # negative: nothing was written since
                stretches[tp] = Stretch(max(min(start, end), end - most, first), end)
        return stretches

    def whole(self, partitions: Iterable[TP]) -> dict[TP, Stretch]:
        """Everything in these partitions now.

        Raises:
            Stopped: told to.
            KafkaException: Kafka refuses for good.
        """
        with reader(self._config) as consumer:
            return {tp: Stretch(*self._bounds(consumer, tp)) for tp in partitions}

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has.

        Raises:
            Stopped: told to.
            KafkaException: Kafka refuses for good.
        """
        with reader(self._config) as consumer:
            cluster = answered(lambda: consumer.list_topics(topic, ASK_TIMEOUT_S), self.stopped)
            return len(cluster.topics[topic].partitions)

    def read(self, stretches: Mapping[TP, Stretch], take: Callable[[Message], None]) -> int:
        """Give every record of the stretches to `take`, in the order of its partition. Returns how many there were.

        Raises:
            Stopped: told to.
            KafkaException: Kafka refuses for good.
        """
        left = {tp for tp, stretch in stretches.items() if stretch.end > stretch.start}
        count = 0
        with reader(self._config) as consumer:
            consumer.assign([TopicPartition(tp.topic, tp.partition, stretches[tp].start) for tp in left])
            while left:
                for message in consumer.consume(BATCH, timeout=POLL_S):
                    if self._advance(message, stretches, left):
                        take(message)
                        count += 1
                if self.stopped.is_set():
                    raise Stopped
        return count

    def _advance(self, message: Message, stretches: Mapping[TP, Stretch], left: set[TP]) -> bool:
        """Whether this is a record of its stretch; takes a stretch that is at its end out of `left`."""
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            if not passes(error):
                raise KafkaException(error)
            return False
        tp, offset = TP(message.topic(), message.partition()), message.offset()
        end = stretches[tp].end
        # The position after this record, or, where the log ends in holes, the one that it was read up to.
        if (offset if error is not None else offset + 1) >= end:
            left.discard(tp)
        return error is None and offset < end

    def _bounds(self, consumer: Consumer, tp: TP) -> tuple[int, int]:
        asked = TopicPartition(tp.topic, tp.partition)
        low, high = answered(lambda: consumer.get_watermark_offsets(asked, ASK_TIMEOUT_S), self.stopped)
        return low, high
