"""How writing a record can end: at a position, refused for good, or unknown because the publisher is no more."""

from __future__ import annotations

from typing import NamedTuple

from confluent_kafka import KafkaError

_REFUSALS = frozenset(
    {
        KafkaError.MSG_SIZE_TOO_LARGE,
        KafkaError.RECORD_LIST_TOO_LARGE,
        KafkaError.INVALID_MSG,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.INVALID_REQUIRED_ACKS,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.POLICY_VIOLATION,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    }
)


class Position(NamedTuple):
    """Where a record lies in the log."""

    topic: str
    partition: int
    offset: int


class PublishRejected(Exception):
    """Kafka refused this record for good: too large, no such topic or partition, not authorized. Sending it again
    would not help."""

    def __init__(self, topic: str, detail: str) -> None:
        super().__init__(f"{topic}: {detail}")
        self.topic = topic
        self.detail = detail


class PublisherClosed(Exception):
    """The publisher stopped, or broke, before the record was acknowledged. The record may or may not be in the log:
    whatever led to it must not be finished."""


def is_refusal(error: KafkaError) -> bool:
    """Whether the error is about this record or topic, and would be the same again. Any other final error is about the
    producer itself."""
    return error.code() in _REFUSALS
