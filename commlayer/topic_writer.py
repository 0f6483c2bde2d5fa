"""Records written from a command line: each is in Kafka when the call returns."""

from __future__ import annotations

from collections.abc import Sequence

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.kafka.settings import KafkaSettings

from .topic_reader import ANSWER_WITHIN_S, KafkaUnreachable, refusal


class TopicWriter:
    """Writes one record at a time, acknowledged by all replicas in sync.

    Args:
        kafka: how Kafka is reached.
    """

    def __init__(self, kafka: KafkaSettings) -> None:
        self._trouble = ""
        self._producer = Producer(
            {
                **kafka.client_config(),
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "message.timeout.ms": int(ANSWER_WITHIN_S * 1000),
                "log_level": 0,  # what goes wrong is told once, by us
                "error_cb": self._on_error,
            }
        )

    def write(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None,
        partition: int = -1,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> tuple[int, int]:
        """Partition and offset of the record. Without `partition` the key decides.

        Raises:
            NotAllowed: this user may not write there.
            KafkaUnreachable: Kafka refused it, or did not answer in time: then it may have been written.
        """
        failures: list[KafkaError] = []
        places: list[tuple[int, int]] = []

        def delivered(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                failures.append(error)
            else:
                places.append((message.partition(), message.offset()))

        try:
            self._producer.produce(topic, value, key, partition, on_delivery=delivered, headers=list(headers))
        except KafkaException as error:
            raise refusal(error.args[0]) from error
        self._producer.flush(ANSWER_WITHIN_S + 1.0)
        if failures:
            raise refusal(failures[0])
        if not places:
            raise KafkaUnreachable(self._trouble or "no answer")
        return places[0]

    def _on_error(self, error: KafkaError) -> None:
        self._trouble = error.str()
