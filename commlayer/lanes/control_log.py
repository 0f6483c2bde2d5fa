"""`comms.control` from a command line: what is in force, and one more record."""

from __future__ import annotations

import time

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from commlayer.topic_reader import KafkaUnreachable, TopicMissing, refusal
from commlayer.topic_writer import TopicWriter
from connectors.kafka.settings import KafkaSettings
from schemas.codec import Codec, RegistryCodec
from schemas.errors import DecodeError, SchemaNotLoaded
from schemas.records import Control
from schemas.topics import CONTROL
from streams.control.days import Days
from streams.control.switches import Switches
from streams.control.tail import Take

ANSWER_WITHIN_S = 10.0
"""A broker that runs answers at once; a person is waiting."""
_POLL_S = 0.2


class ControlLog:
    """Reads and writes the topic.

    Args:
        kafka: how Kafka is reached.
        codec: of the installation; one with a registry must be prepared before `write`.
    """

    def __init__(self, kafka: KafkaSettings, codec: Codec) -> None:
        self._trouble = ""
        self._codec = codec
        self._kafka = kafka
        self._config = {
            **kafka.reader_config("commlayer-control"),
            "auto.offset.reset": "earliest",
            "error_cb": self._on_error,
        }

    def read(self) -> Switches:
        """Everything in force. Raises as `feed` does."""
        return self.read_with_days()[0]

    def read_with_days(self) -> tuple[Switches, Days]:
        """The same, and what is said of days at carriers. Raises as `feed` does."""
        switches, days = Switches(), Days()

        def take(key: bytes, record: Control | None) -> None:
            if not days.take(key, record):
                switches.take(key, record)

        self.feed(take)
        return switches, days

    def feed(self, take: Take) -> None:
        """Give every record that is there now to `take`, in the order of the log.

        Raises:
            KafkaUnreachable, TopicMissing: see there.
            RegistryUnavailable: a schema cannot be asked for.
        """
        consumer = Consumer(self._config)
        try:
            left = set(self._partitions(consumer))
            consumer.assign([TopicPartition(CONTROL, partition, 0) for partition in left])
            deadline = time.monotonic() + ANSWER_WITHIN_S
            while left:
                if time.monotonic() > deadline:
                    raise KafkaUnreachable(self._trouble or f"{CONTROL} was not read within {ANSWER_WITHIN_S:.0f} s")
                message = consumer.poll(_POLL_S)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    self._give(message, take)
                elif error.code() == KafkaError._PARTITION_EOF:
                    left.discard(message.partition())
                else:
                    raise refusal(error)
        finally:
            consumer.close()

    def write(self, key: bytes, record: Control) -> None:
        """Returns once Kafka holds the record; then every process applies it within a second.

        Raises:
            KafkaUnreachable: it may or may not have been written; writing it again is harmless.
        """
        TopicWriter(self._kafka).write(CONTROL, self._codec.encode(record), key=key)

    def _partitions(self, consumer: Consumer) -> list[int]:
        try:
            topic = consumer.list_topics(CONTROL, timeout=ANSWER_WITHIN_S).topics[CONTROL]
        except KafkaException as error:
            raise KafkaUnreachable(self._trouble or error.args[0].str()) from error
        if topic.error is not None or not topic.partitions:
            raise TopicMissing(f"topic {CONTROL} is missing or this user may not see it")
        return list(topic.partitions)

    def _give(self, message: Message, take: Take) -> None:
        key, value = message.key() or b"", message.value()
        if value is None:
            take(key, None)
            return
        try:
            record = self._decoded(value)
        except DecodeError:
            return  # it changes nothing in dispatch either
        if isinstance(record, Control):
            take(key, record)

    def _decoded(self, value: bytes) -> object:
        try:
            return self._codec.decode(value)
        except SchemaNotLoaded as missing:
            assert isinstance(self._codec, RegistryCodec)  # nobody else asks for it
            self._codec.load(missing.schema_id)
            return self._codec.decode(value)

    def _on_error(self, error: KafkaError) -> None:
        self._trouble = error.str()
