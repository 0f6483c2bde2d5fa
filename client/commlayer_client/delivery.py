"""Records to Kafka, each with a future: one producer, one thread that serves its callbacks."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from .failures import Circumstances

_POLL_S = 0.2  # how late the thread notices `close`; acknowledgements wake it at once
_ASK_S = 1.0  # how late `check` notices that the credentials were refused
_TOPIC_AGE_MS = 5_000
"""librdkafka believes for so long that a topic it cannot find was only just created (30 s by default). Request topics
are made by an operator, long before."""

_FIXED = {"enable.idempotence", "acks", "partitioner", "message.timeout.ms", "delivery.timeout.ms", "error_cb"}
"""Settings that the promises of this package rest on."""


class Position(NamedTuple):
    """Where a record lies in the log."""

    topic: str
    partition: int
    offset: int


class QueueFull(Exception):
    """So many records are unacknowledged that the producer takes no more for the moment."""


def producer_settings(bootstrap: str | Sequence[str], config: Mapping[str, Any], timeout_s: float) -> dict[str, Any]:
    """librdkafka settings: the caller's, with what must not differ.

    Raises:
        ValueError: the caller's contradict what must not differ.
    """
    refused = sorted(_FIXED & config.keys())
    if refused:
        raise ValueError(f"{', '.join(refused)}: the publisher sets this itself")
    answer_ms = max(1_000, min(10_000, round(timeout_s * 500)))
    return {
        "client.id": "commlayer-client",
        "linger.ms": 0,
        "log_level": 0,  # it would report every attempt to connect; what comes of them is told once, by an error
        "topic.metadata.propagation.max.ms": _TOPIC_AGE_MS,
        "request.timeout.ms": answer_ms,
        "socket.timeout.ms": answer_ms,
        **config,
        "bootstrap.servers": bootstrap if isinstance(bootstrap, str) else ",".join(bootstrap),
        "enable.idempotence": True,
        "acks": "all",
        # Java's default. librdkafka's own differs: one person's messages would be spread over partitions.
        "partitioner": "murmur2_random",
        "message.timeout.ms": round(timeout_s * 1000),
    }


class DeliveryEnded(Exception):
    """This producer takes no more records; a new one must be made."""


class Delivery:
    """One producer. Ready at once; whether a broker answers shows with the first record.

    It breaks when Kafka refuses the credentials, or fences the producer: then every record fails at once and a new
    one must be made.

    Attributes:
        broken: it takes no more records.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.broken = False
        user = settings.get("sasl.username")
        self._known = Circumstances(
            bootstrap=settings["bootstrap.servers"],
            timeout_ms=settings["message.timeout.ms"],
            principal=f"User:{user}" if user else None,
        )
        self._delivered = 0
        self._gate = threading.Lock()  # a record is handed over while the thread serves, or not at all
        self._ended = False
        self._closing = threading.Event()
        self._producer = Producer({**settings, "error_cb": self._on_error})
        self._thread = threading.Thread(target=self._serve, name="commlayer-client", daemon=True)
        self._thread.start()

    def submit(
        self, topic: str, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]] = ()
    ) -> Future[Position]:
        """Hand over a record; the future has its position once all in-sync replicas hold it, or a PublishError.

        Raises:
            QueueFull: try again when others have been acknowledged.
            DeliveryEnded: broken or closed meanwhile.
            PublishError: it is refused here.
        """
        future: Future[Position] = Future()
        future.set_running_or_notify_cancel()  # a record that was handed over cannot be taken back

        def reported(error: KafkaError | None, message: Message) -> None:
            if error is None:
                self._delivered += 1
                self._known.unreachable = None
                future.set_result(Position(topic, message.partition() or 0, message.offset() or 0))
            else:
                future.set_exception(self._known.failure(error, topic))

        try:
            with self._gate:
                if self._ended:
                    raise DeliveryEnded
                self._producer.produce(topic, value, key, on_delivery=reported, headers=list(headers))
        except BufferError:
            raise QueueFull from None
        except KafkaException as error:
            raise self._known.failure(error.args[0], topic) from None
        return future

    def check(self, topics: Sequence[str], timeout_s: float) -> None:
        """Ask a broker about these topics.

        Raises:
            BrokerUnavailable, NotAuthorized, UnknownTopic: what stands in the way.
        """
        deadline = time.monotonic() + timeout_s
        for topic in topics:
            answer = self._ask(topic, deadline)
            if answer is not None:
                raise self._known.failure(answer, topic)

    def close(self, timeout_s: float) -> None:
        """Wait for what is unacknowledged, fail the rest, stop the thread."""
        if self._thread.is_alive():
            self._producer.flush(timeout_s)
            self._closing.set()
            self._thread.join()

    def forget(self) -> None:
        """In a forked child: leave the parent's producer alone for ever. Its threads do not exist here, and its
        destructor would wait for them."""
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._producer))

    def _serve(self) -> None:
        while not self._ended:
            self._producer.poll(_POLL_S)
            if self._closing.is_set():
                self._producer.purge()
            elif self._known.refused is not None:
                self.broken = True
                self._producer.purge(in_flight=False)
            if self.broken or self._closing.is_set():
                with self._gate:
                    self._ended = not len(self._producer)

    def _ask(self, topic: str, deadline: float) -> KafkaError | None:
        while True:
            try:
                return self._producer.list_topics(topic, timeout=_ASK_S).topics[topic].error
            except KafkaException as error:
                if self._known.refused is not None:
                    raise self._known.no_login() from None
                if time.monotonic() > deadline:
                    raise self._known.silence(self._known.unreachable or error.args[0].str()) from None

    def _on_error(self, error: KafkaError) -> None:
        code = error.code()
        if code == KafkaError._AUTHENTICATION and self._delivered == 0:
            # Later on it may be one broker's trouble or a change of passwords under way: then it is waited out.
            self._known.refused = error.str()
        elif code in (KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE, KafkaError._SSL):
            if code != KafkaError._ALL_BROKERS_DOWN or self._known.unreachable is None:
                self._known.unreachable = error.str()
        elif error.fatal():
            self.broken = True
