"""A topic read from a command line: the records of one key, or all that are there now."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType

from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.kafka.partitioning import partition_of
from connectors.kafka.settings import KafkaSettings
from schemas.codec import Codec, RegistryCodec
from schemas.errors import SchemaNotLoaded
from schemas.records import Record

ANSWER_WITHIN_S = 10.0
"""A broker that runs answers at once; a person is waiting."""
_POLL_S = 0.2
_BATCH = 1000

Progress = Callable[[int, int], None]
"""Told of records read and records there are, between batches."""


class KafkaUnreachable(Exception):
    """No broker answers, or not to us. The text says why."""


class NotAllowed(KafkaUnreachable):
    """The brokers answer, and this user may not do that."""


def refusal(error: KafkaError) -> KafkaUnreachable:
    """What a broker's error means to a person."""
    rights = (KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED)
    return NotAllowed(error.str()) if error.code() in rights else KafkaUnreachable(error.str())


class TopicMissing(Exception):
    """The topic does not exist, or this user may not see it."""


class TopicReader:
    """Reads partitions by hand; no group is joined and nothing is committed.

    Args:
        kafka: how Kafka is reached.
        codec: reads records.
        name: client id that the broker's logs show.
        clock: monotonic seconds.
    """

    def __init__(
        self, kafka: KafkaSettings, codec: Codec, *, name: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._trouble = ""
        self._codec = codec
        self._clock = clock
        self._consumer = Consumer(
            {
                **kafka.reader_config(name),
                "auto.offset.reset": "earliest",
                "error_cb": self._on_error,
            }
        )

    def __enter__(self) -> TopicReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def of_key(
        self, topic: str, key: bytes, *, until: float | None = None, since_ms: int | None = None
    ) -> Iterator[Message]:
        """The records of a key that lie in its partition, in the order of the log; deletions are left out.

        Args:
            until: monotonic moment up to which further ones are waited for; None: only those there now.
            since_ms: records written before this moment are passed over; epoch milliseconds UTC.

        Raises:
            KafkaUnreachable, TopicMissing: see there.
        """
        partition = partition_of(key, self.partitions(topic))
        for message in self._read(topic, [partition], since_ms, until, None):
            if message.key() == key and message.value() is not None:
                yield message

    def of_partition(
        self,
        topic: str,
        partition: int,
        *,
        since_ms: int | None = None,
        until_ms: int | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Message]:
        """The records of one partition that are there now, deletions included, in the order of the log.

        Args:
            since_ms, until_ms: records written before or after are passed over; epoch milliseconds UTC.

        Raises:
            KafkaUnreachable: see there.
            TopicMissing: there is no such partition.
        """
        if partition >= self.partitions(topic):
            raise TopicMissing(f"topic {topic} has no partition {partition}")
        for message in self._read(topic, [partition], since_ms, None, progress):
            if until_ms is not None and message.timestamp()[1] > until_ms:
                return
            yield message

    def everything(
        self, topic: str, *, since_ms: int | None = None, progress: Progress | None = None
    ) -> Iterator[Message]:
        """All records of a topic that are there now; in order only within a partition; deletions are left out.

        Raises:
            KafkaUnreachable, TopicMissing: see there.
        """
        read = self._read(topic, range(self.partitions(topic)), since_ms, None, progress)
        return (message for message in read if message.value() is not None)

    def at(self, topic: str, partition: int, offset: int) -> Message | None:
        """The record at a place; None when it is gone.

        Raises:
            KafkaUnreachable: see there.
        """
        self._consumer.assign([TopicPartition(topic, partition, offset)])
        deadline = self._clock() + ANSWER_WITHIN_S
        while self._clock() < deadline:
            message = self._consumer.poll(_POLL_S)
            if message is None:
                continue
            error = message.error()
            if error is None:
                return message if message.offset() == offset else None
            if error.code() != KafkaError._PARTITION_EOF:
                raise refusal(error)
            return None
        raise KafkaUnreachable(self._trouble or f"{topic} was not read within {ANSWER_WITHIN_S:.0f} s")

    @property
    def codec(self) -> Codec:
        """Reads records; with a registry it must be prepared before it writes."""
        return self._codec

    def decoded(self, value: bytes) -> Record:
        """The record in a value.

        Raises:
            DecodeError, RegistryUnavailable: it cannot be read.
        """
        try:
            return self._codec.decode(value)
        except SchemaNotLoaded as missing:
            assert isinstance(self._codec, RegistryCodec)  # nobody else asks for it
            self._codec.load(missing.schema_id)
            return self._codec.decode(value)

    def _read(
        self,
        topic: str,
        partitions: range | list[int],
        since_ms: int | None,
        until: float | None,
        progress: Progress | None,
    ) -> Iterator[Message]:
        starts, left, total = self._bounds(topic, partitions, since_ms)
        if until is None:
            starts = {partition: offset for partition, offset in starts.items() if partition in left}
        if not starts:
            return
        self._consumer.assign([TopicPartition(topic, partition, offset) for partition, offset in starts.items()])
        read, heard = 0, self._clock()
        while left or until is not None:
            messages = self._consumer.consume(_BATCH, timeout=_POLL_S)
            now = self._clock()
            if messages:
                heard = now
            elif until is None and now - heard > ANSWER_WITHIN_S:
                raise KafkaUnreachable(self._trouble or f"{topic} was not read within {ANSWER_WITHIN_S:.0f} s")
            for message in messages:
                error = message.error()
                partition, end = message.partition(), left.get(message.partition())
                if error is not None:
                    if error.code() != KafkaError._PARTITION_EOF:
                        raise refusal(error)
                    left.pop(partition, None)
                    continue
                if until is None and (end is None or message.offset() >= end):
                    left.pop(partition, None)  # written after we began
                    continue
                read += 1
                yield message
                if end is not None and message.offset() >= end - 1:
                    left.pop(partition)
            if progress is not None:
                progress(read, total)
            if until is not None and now >= until:
                return

    def _bounds(
        self, topic: str, partitions: range | list[int], since_ms: int | None
    ) -> tuple[dict[int, int], dict[int, int], int]:
        """Where to begin, where the non-empty ones end, and how many records lie between."""
        starts: dict[int, int] = {}
        ends: dict[int, int] = {}
        total = 0
        try:
            wanted = dict.fromkeys(partitions, 0)
            if since_ms is not None:
                asked = [TopicPartition(topic, partition, since_ms) for partition in partitions]
                answered = self._consumer.offsets_for_times(asked, timeout=ANSWER_WITHIN_S)
                wanted = {each.partition: each.offset for each in answered}
            for partition, offset in wanted.items():
                low, high = self._consumer.get_watermark_offsets(
                    TopicPartition(topic, partition), timeout=ANSWER_WITHIN_S
                )
                start = high if offset == OFFSET_END else max(low, offset)
                starts[partition] = start
                if start < high:
                    ends[partition] = high
                    total += high - start
        except KafkaException as error:
            raise KafkaUnreachable(self._trouble or error.args[0].str()) from error
        return starts, ends, total

    def partitions(self, name: str) -> int:
        """How many partitions a topic has.

        Raises:
            KafkaUnreachable, TopicMissing: see there.
        """
        try:
            topic = self._consumer.list_topics(name, timeout=ANSWER_WITHIN_S).topics[name]
        except KafkaException as error:
            raise KafkaUnreachable(self._trouble or error.args[0].str()) from error
        if topic.error is not None or not topic.partitions:
            raise TopicMissing(f"topic {name} is missing or this user may not see it")
        return len(topic.partitions)

    def _on_error(self, error: KafkaError) -> None:
        self._trouble = error.str()
