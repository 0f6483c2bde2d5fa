"""What became of one message: its records on `comms.feedback.status`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from types import TracebackType

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from connectors.kafka.partitioning import partition_of
from connectors.kafka.settings import KafkaSettings
from schemas.codec import Codec, RegistryCodec
from schemas.errors import SchemaNotLoaded
from schemas.records import StatusUpdate
from schemas.topics import FEEDBACK_STATUS

ANSWER_WITHIN_S = 10.0
"""A broker that runs answers at once; a person is waiting."""
_POLL_S = 0.2
_BATCH = 1000


class KafkaUnreachable(Exception):
    """No broker answers, or not to us. The text says why."""


class TopicMissing(Exception):
    """The status topic does not exist, or this user may not see it."""


class StatusReader:
    """Reads the partition that holds a message's statuses, from its start.

    Args:
        kafka: how Kafka is reached.
        codec: reads records.
        clock: monotonic seconds.
    """

    def __init__(self, kafka: KafkaSettings, codec: Codec, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._trouble = ""
        self._codec = codec
        self._clock = clock
        self._consumer = Consumer(
            {
                **kafka.client_config(),
                "group.id": "commlayer.status",  # never joined: partitions are assigned by hand
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                "log_level": 0,  # what goes wrong is told once, by us
                "error_cb": self._on_error,
            }
        )

    def __enter__(self) -> StatusReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._consumer.close()

    def updates(self, message_id: str, *, until: float | None) -> Iterator[StatusUpdate]:
        """The message's updates in the order of the log.

        Args:
            until: monotonic moment up to which further ones are waited for; None: only those there now.

        Raises:
            KafkaUnreachable, TopicMissing: see there.
            DecodeError, RegistryUnavailable: an update cannot be read.
        """
        key = message_id.encode()
        self._consumer.assign([TopicPartition(FEEDBACK_STATUS, partition_of(key, self._partitions()), 0)])
        while True:
            for message in self._consumer.consume(_BATCH, timeout=_POLL_S):
                error = message.error()
                if error is None:
                    if message.key() == key and message.value() is not None:
                        yield self._decoded(message.value())
                elif error.code() == KafkaError._PARTITION_EOF:
                    if until is None:
                        return
                else:
                    raise KafkaUnreachable(error.str())
            if until is not None and self._clock() >= until:
                return

    def _partitions(self) -> int:
        try:
            topic = self._consumer.list_topics(FEEDBACK_STATUS, timeout=ANSWER_WITHIN_S).topics[FEEDBACK_STATUS]
        except KafkaException as error:
            raise KafkaUnreachable(self._trouble or error.args[0].str()) from error
        if topic.error is not None or not topic.partitions:
            raise TopicMissing(f"topic {FEEDBACK_STATUS} is missing or this user may not see it")
        return len(topic.partitions)

    def _decoded(self, value: bytes) -> StatusUpdate:
        try:
            record = self._codec.decode(value)
        except SchemaNotLoaded as missing:
            assert isinstance(self._codec, RegistryCodec)  # nobody else asks for it
            self._codec.load(missing.schema_id)
            record = self._codec.decode(value)
        assert isinstance(record, StatusUpdate)  # feedback alone writes here
        return record

    def _on_error(self, error: KafkaError) -> None:
        self._trouble = error.str()
