"""`comms.consent` from a command line: one person's changes, all of them, and new ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from confluent_kafka import KafkaError, Message, Producer

from commlayer.topic_reader import ANSWER_WITHIN_S, KafkaUnreachable, TopicReader, refusal
from connectors.kafka.settings import KafkaSettings
from schemas.codec import Codec
from schemas.errors import DecodeError
from schemas.records import Consent, Record
from schemas.topics import CONSENT
from streams.consent import Effect, Ledger, effect_of


@dataclass(frozen=True, slots=True)
class Written:
    """One record as it lies in its partition, with the moment it was written there, epoch milliseconds UTC; `record` is
    None where it cannot be read."""

    offset: int
    written_at: int
    record: Consent | None


def of_person(reader: TopicReader, recipient: str) -> Iterator[Written]:
    """A person's changes in the order of the log.

    Raises:
        KafkaUnreachable, TopicMissing, RegistryUnavailable: see there.
    """
    for message in reader.of_key(CONSENT, recipient.encode()):
        yield _written(reader, message)


def of_everybody(reader: TopicReader) -> Iterator[Written]:
    """All changes; in order for each person. Raises the same."""
    for message in reader.everything(CONSENT):
        yield _written(reader, message)


def folded(changes: Iterable[Written], before: Ledger | None = None) -> Ledger:
    """What policy makes of a person's changes, on top of what it remembers."""
    ledger = before or Ledger()
    for change in changes:
        effect = effect_of(change.record)
        if change.record is None or effect is Effect.OPT_OUT_OF_EVERYTHING:
            ledger = ledger.with_unreadable(change.offset)
        elif effect is Effect.FOLDED:
            ledger = ledger.folded(change.record, change.offset, change.written_at)
    return ledger


def write(kafka: KafkaSettings, codec: Codec, records: Iterable[Consent]) -> None:
    """Returns once Kafka holds all of them.

    Args:
        codec: of the installation; one with a registry must be prepared.

    Raises:
        KafkaUnreachable: some may not have been written; writing them again is harmless.
    """
    failures: list[KafkaError] = []
    trouble: list[KafkaError] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            failures.append(error)

    producer = Producer(
        {
            **kafka.client_config(),
            "acks": "all",
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "message.timeout.ms": int(ANSWER_WITHIN_S * 1000),
            "log_level": 0,  # what goes wrong is told once, by us
            "error_cb": trouble.append,
        }
    )
    for record in records:
        producer.produce(CONSENT, codec.encode(record), record.recipient.encode(), on_delivery=delivered)
    left = producer.flush(ANSWER_WITHIN_S + 1.0)
    if failures or left:
        problem = next(iter(failures or trouble), None)
        raise KafkaUnreachable("no answer") if problem is None else refusal(problem)


def _written(reader: TopicReader, message: Message) -> Written:
    record: Record | None
    try:
        record = reader.decoded(message.value() or b"")
    except DecodeError:
        record = None
    return Written(message.offset(), message.timestamp()[1], record if isinstance(record, Consent) else None)
