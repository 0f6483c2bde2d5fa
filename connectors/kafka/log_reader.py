"""Reads stretches of a topic again, beside the group: to restore what a stage remembers, and to find what it forgot.

All of it blocks: call it in a thread.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from .settings import KafkaSettings
from .topic_partition import TP

T = TypeVar("T")

BATCH = 1000
POLL_S = 0.2  # how late a stop is noticed
ASK_TIMEOUT_S = 5.0
RETRY_S = 0.5
_WAITED_OUT = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._RESOLVE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
    }
)
"""What passes by itself; anything else is a reason to end the process."""


class Stretch(NamedTuple):
    """Offsets of one partition: from `start` up to, and without, `end`."""

    start: int
    end: int


class Stopped(Exception):
    """The reader was told to stop: what it read so far is not all."""


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
        with self._consumer() as consumer:
            asked = [TopicPartition(tp.topic, tp.partition, since_ms) for tp in partitions]
            answers = self._answer(lambda: consumer.offsets_for_times(asked, timeout=ASK_TIMEOUT_S))
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
        with self._consumer() as consumer:
            return {tp: Stretch(*self._bounds(consumer, tp)) for tp in partitions}

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has.

        Raises:
            Stopped: told to.
            KafkaException: Kafka refuses for good.
        """
        with self._consumer() as consumer:
            return len(self._answer(lambda: consumer.list_topics(topic, ASK_TIMEOUT_S)).topics[topic].partitions)

    def read(self, stretches: Mapping[TP, Stretch], take: Callable[[Message], None]) -> int:
        """Give every record of the stretches to `take`, in the order of its partition. Returns how many there were.

        Raises:
            Stopped: told to.
            KafkaException: Kafka refuses for good.
        """
        left = {tp for tp, stretch in stretches.items() if stretch.end > stretch.start}
        count = 0
        with self._consumer() as consumer:
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
            if error.fatal() or error.code() not in _WAITED_OUT:
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
        low, high = self._answer(lambda: consumer.get_watermark_offsets(asked, ASK_TIMEOUT_S))
        return low, high

    def _answer(self, ask: Callable[[], T]) -> T:
        while True:
            try:
                return ask()
            except KafkaException as error:
                if error.args[0].code() not in _WAITED_OUT:
                    raise
            if self.stopped.wait(RETRY_S):
                raise Stopped

    @contextlib.contextmanager
    def _consumer(self) -> Iterator[Consumer]:
        consumer = Consumer(self._config)
        try:
            yield consumer
        finally:
            consumer.close()
