"""The durable publisher: a record is written when all in-sync replicas have it, however long that takes."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections import deque
from collections.abc import Callable, Sequence

import orjson
import structlog
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from connectors.health import Health
from connectors.kafka import publish_metrics
from connectors.kafka.broker_watch import BrokerWatch
from connectors.kafka.publish_outcomes import Position, PublisherClosed, PublishRejected, is_refusal
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.unknown_partitions import UnknownPartitions
from schemas.topics import LIFECYCLE

__all__ = ["DurablePublisher", "Position", "PublishRejected", "PublisherClosed"]

_log = structlog.get_logger(__name__)

OVERDUE_S = 10.0
"""A record unacknowledged for so long is shown in health even while brokers answer (no leader, too few replicas)."""
PROBE_TIMEOUT_S = 2.0
ACKS_EVERY_S = 0.001
"""How often acknowledgements are fetched while some are due. A thread that waits for them would hear of each at once,
and would fight a busy loop for the interpreter's lock over each."""
BUSY_ACKS_EVERY_S = 0.003
BUSY = 16
"""So many records under way, and acknowledgements are fetched, and records handed over, less often and more together:
the broker's and librdkafka's work is by request. (Measured with three records per message, 2,000 messages/s: 0.2
requests per message instead of 2, and half of the broker's work.)"""
GATHERED = frozenset({LIFECYCLE})
GATHER_S = 0.02
"""Records of these topics wait for company, up to so long, while others are under way: they spread over many
partitions, each of which makes a request, and nothing waits for them but the end of their input."""
_NEWS_EVERY_S = 0.05
"""How often errors and statistics are asked for while nothing is under way."""
LINGER_MS = 1
"""What is handed over together becomes one request; without it librdkafka sends the first record alone."""
_NOT_STARTED = "not started"
_STATISTICS_MS = 500
"""librdkafka tells only by its statistics when it holds the producer id that the first record waits for."""
UNKNOWN_TOPIC_AFTER_S = 5.0
"""librdkafka believes for so long that a topic it cannot find was only just made (30 s by default). Ours are made by
an operator, long before."""


_Pending = tuple[float, str, int]
"""Of a record under way: since when, its topic, the size of its value."""
_position: Callable[[tuple[str, int, int]], Position] = functools.partial(tuple.__new__, Position)
"""`Position` by a third of the time that its own constructor takes."""
_Waiting = tuple["asyncio.Future[Position]", str, bytes | None, bytes | None, int, Sequence[tuple[str, bytes]]]
"""A record that librdkafka was not given yet: what `_produce` takes."""


class DurablePublisher:
    """Writes records with the idempotent producer and acks=all, and waits out any outage: no delivery timeout.

    What is published while nothing is under way goes to the broker at once, all else some milliseconds later and
    together. Records of one partition are written in the order of the `publish` calls. All methods belong to the event
    loop in which `start` was called.

    Args:
        settings: how Kafka is reached.
        name: shown to brokers, in metrics and in health.
        on_fatal: told once, in the loop, when the producer can go on no more (Kafka fenced it, or refused it a producer
            id). The process must end; records that were under way may or may not be in the log.
        buffer_records: how many records librdkafka holds; further ones wait in order in front of it.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        *,
        name: str,
        on_fatal: Callable[[str], None] | None = None,
        buffer_records: int = 100_000,
    ) -> None:
        self._name = name
        self._on_fatal = on_fatal
        self._config: dict[str, object] = {
            **settings.client_config(),
            "client.id": name,
            "enable.idempotence": True,
            "acks": "all",
            "message.timeout.ms": 0,
            "partitioner": "murmur2_random",
            "linger.ms": LINGER_MS,
            "queue.buffering.max.messages": buffer_records,
            "topic.metadata.refresh.interval.ms": int(settings.metadata_max_age_s * 1000),
            "topic.metadata.propagation.max.ms": int(UNKNOWN_TOPIC_AFTER_S * 1000),
            "request.timeout.ms": int(settings.request_timeout_s * 1000),
            "socket.timeout.ms": int(settings.request_timeout_s * 1000),
            "socket.nagle.disable": True,
            "reconnect.backoff.max.ms": 1000,
            "statistics.interval.ms": _STATISTICS_MS,
            "log_level": 0,  # it repeats itself at every attempt; error_cb says the same to us
            "error_cb": self._on_error,
            "stats_cb": self._on_statistics,
        }
        self._brokers = BrokerWatch(name, probe=self._probe, oldest_s=self._oldest_s)
        self._pending: dict[asyncio.Future[Position], _Pending] = {}
        self._backlog: deque[_Waiting] = deque()
        self._gathered: deque[_Waiting] = deque()  # of GATHERED topics
        self._gathered_until = 0.0
        self._unknown = UnknownPartitions[_Waiting](count=self._count, again=self._found, refuse=self._not_found)
        self._reports: list[tuple[asyncio.Future[Position], KafkaError | None, int, int]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._expects_acks = False
        self._stopping = False
        self._closed: str | None = _NOT_STARTED
        self._ready = asyncio.Event()
        self._drained: asyncio.Event | None = None

    async def start(self) -> None:
        """Start the producer in the running loop. Does not wait for a broker.

        Raises:
            KafkaException: librdkafka does not accept the settings.
        """
        self._loop = asyncio.get_running_loop()
        self._producer = Producer(self._config)
        self._closed = None
        self._look_after(_NEWS_EVERY_S)
        self._brokers.start()
        publish_metrics.unacknowledged.labels(self._name).set_function(lambda: len(self._pending))

    async def warm(self) -> None:
        """Return once brokers answer, know all topics, and gave us the producer id that a first record waits for
        (seconds on a fresh cluster). However long that takes; `health` tells what it waits for.

        Raises:
            PublisherClosed: the producer broke meanwhile, or was stopped.
        """
        self._brokers.look()
        await self._ready.wait()
        if self._closed is not None:
            raise PublisherClosed(self._closed)

    def publish(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> asyncio.Future[Position]:
        """Hand over a record; the future resolves when Kafka has acknowledged it.

        Args:
            partition: explicit, or None for `murmur2_random` of the key.

        Raises:
            TypeError: the value is no bytes.

        The future raises:
            PublishRejected: Kafka refused the record for good.
            PublisherClosed: the publisher stopped or broke first.
        """
        future: asyncio.Future[Position] = self._loop.create_future()
        if self._closed is not None:
            future.set_exception(PublisherClosed(self._closed))
            return future
        if value is not None and not isinstance(value, bytes):
            raise TypeError(f"a value must be bytes, not {type(value).__name__}")
        now = time.monotonic()
        self._pending[future] = (now, topic, 0 if value is None else len(value))
        record = (future, topic, value, key, -1 if partition is None else partition, headers)
        if topic not in GATHERED:
            self._backlog.append(record)
        else:
            if not self._gathered:
                self._gathered_until = now + GATHER_S
            self._gathered.append(record)
        if not self._expects_acks:
            self._expects_acks = True
            self._stop_looking()
            self._look_after(ACKS_EVERY_S)
            self._flush(now)
        return future

    async def stop(self, timeout_s: float = 10.0) -> None:
        """Wait for outstanding acknowledgements, but not for ever; what is left then raises PublisherClosed."""
        if self._stopping or self._closed == _NOT_STARTED:
            return
        if self._pending:
            self._drained = asyncio.Event()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._drained.wait()
        self._stopping = True
        self._close("stopped")
        self._stop_looking()
        self._brokers.stop()
        await asyncio.to_thread(self._destroy)
        publish_metrics.unacknowledged.remove(self._name)

    def health(self) -> Health:
        """Whether records can be written now."""
        if self._closed is not None:
            return Health(False, self._closed)
        brokers = self._brokers.health()
        if not brokers.ok:
            return brokers
        if not self._ready.is_set():
            return Health(False, f"waiting for Kafka: {self._brokers.last_error}")
        waiting_s = self._oldest_s()
        if waiting_s > OVERDUE_S:
            return Health(False, f"{len(self._pending)} records unacknowledged, the oldest for {waiting_s:.0f} s")
        return Health(True)

    # Loop side

    def _produce(
        self,
        future: asyncio.Future[Position],
        topic: str,
        value: bytes | None,
        key: bytes | None,
        partition: int,
        headers: Sequence[tuple[str, bytes]],
    ) -> bool:
        """False when librdkafka's queue is full."""
        if self._unknown and (topic, partition) in self._unknown:
            self._unknown.keep(topic, partition, (future, topic, value, key, partition, headers))
            return True
        report = functools.partial(self._on_delivery, future, headers)
        try:
            if headers:
                self._producer.produce(topic, value, key, partition, report, headers=list(headers))
            else:
                self._producer.produce(topic, value, key, partition, report)
        except BufferError:
            return False
        except KafkaException as error:
            if error.args[0].code() == KafkaError._UNKNOWN_PARTITION:
                self._unknown.keep(topic, partition, (future, topic, value, key, partition, headers))
            else:
                self._failed(future, topic, error.args[0])
        except Exception as error:  # not ours to judge (a key that is no bytes), but it waits for nothing any more
            del self._pending[future]
            future.set_exception(error)
        return True

    async def _count(self, topic: str) -> int:
        cluster = await self._brokers.ask(functools.partial(self._producer.list_topics, topic, timeout=PROBE_TIMEOUT_S))
        return len(cluster.topics[topic].partitions)

    def _found(self, records: list[_Waiting]) -> None:
        # Of what was published before the topic was known librdkafka tells later than it refuses what came after it.
        in_order = sorted(records, key=lambda record: self._pending[record[0]][0])
        self._backlog.extendleft(reversed(in_order))

    def _not_found(self, record: _Waiting) -> None:
        future, topic = record[:2]
        self._failed(future, topic, KafkaError(KafkaError._UNKNOWN_PARTITION))
        self._tell_if_drained()

    def _look_after(self, seconds: float) -> None:
        self._timer = self._loop.call_later(seconds, self._look)

    def _stop_looking(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        """Take what librdkafka has to tell: `_on_delivery`, `_on_error` and `_on_statistics` are called in here."""
        try:
            self._producer.poll(0)
        except Exception as error:  # confluent raises a fatal error here (or a SystemError about it): no error_cb
            self._break(f"fatal: {error.args[0].str() if isinstance(error, KafkaException) else repr(error)}")
        if self._reports:
            self._resolve()
        if self._closed is not None:
            return
        self._flush(time.monotonic())
        under_way = len(self._pending)
        self._expects_acks = under_way > 0
        self._look_after(BUSY_ACKS_EVERY_S if under_way >= BUSY else ACKS_EVERY_S if under_way else _NEWS_EVERY_S)

    def _flush(self, now: float) -> None:
        """Hand over to librdkafka what was published, as far as it has room."""
        self._hand_over(self._backlog)
        if self._gathered and (now >= self._gathered_until or len(self._pending) == len(self._gathered)):
            self._hand_over(self._gathered)

    def _hand_over(self, records: deque[_Waiting]) -> None:
        while records:
            record = records.popleft()
            if not self._produce(*record):
                records.appendleft(record)
                return

    def _resolve(self) -> None:
        """Hand every report to its future."""
        reports, self._reports = self._reports, []
        now = time.monotonic()
        acknowledged = False
        for future, error, partition, offset in reports:
            pending = self._pending.get(future)
            if pending is None:
                continue
            since, topic, size = pending
            if error is not None:
                self._failed(future, topic, error)
                continue
            del self._pending[future]
            if not future.done():  # its owner may have given up waiting
                future.set_result(_position((topic, partition, offset)))
            publish_metrics.acknowledged(topic, size, now - since)
            acknowledged = True
        if acknowledged:
            self._brokers.reached()
        self._tell_if_drained()

    def _tell_if_drained(self) -> None:
        if self._drained is not None and not self._pending:
            self._drained.set()

    def _failed(self, future: asyncio.Future[Position], topic: str, error: KafkaError) -> None:
        if not is_refusal(error):
            self._break(f"producer failed: {error.str()}")
            return
        self._pending.pop(future, None)
        publish_metrics.rejected(topic)
        if not future.done():
            future.set_exception(PublishRejected(topic, error.str()))

    def _break(self, why: str) -> None:
        """The producer can go on no more."""
        if self._closed is None:
            _log.error("publisher broke", publisher=self._name, why=why)
            self._close(why)
            if self._on_fatal is not None:
                self._on_fatal(why)

    def _close(self, why: str) -> None:
        self._closed = self._closed or why
        self._backlog.clear()
        self._gathered.clear()
        self._unknown.clear()
        left = [future for future in self._pending if not future.done()]
        self._pending.clear()
        for future in left:
            future.set_exception(PublisherClosed(self._closed))
        self._ready.set()

    def _oldest_s(self) -> float:
        oldest = next(iter(self._pending.values()), None)
        return time.monotonic() - oldest[0] if oldest else 0.0

    # Called by librdkafka inside `_look`; during `_destroy` in its thread, when nobody asks any more.

    def _on_delivery(
        self,
        future: asyncio.Future[Position],
        headers: Sequence[tuple[str, bytes]],
        error: KafkaError | None,
        message: Message,
    ) -> None:
        topic, partition = message.topic(), message.partition()
        if error is not None and error.code() == KafkaError._UNKNOWN_PARTITION and self._closed is None:
            # Taken before the topic was known; what comes after is refused by `produce`.
            self._unknown.keep(topic, partition, (future, topic, message.value(), message.key(), partition, headers))
            return
        self._reports.append((future, error, partition, message.offset()))

    def _on_error(self, error: KafkaError) -> None:
        if not self._stopping:
            self._brokers.trouble(error.str())

    def _on_statistics(self, statistics: str) -> None:
        if self._stopping or self._ready.is_set():
            return
        known = orjson.loads(statistics)
        if known.get("eos", {}).get("idemp_state") == "Assigned":
            self._ready.set()

    # Other threads

    def _probe(self) -> None:
        self._producer.list_topics(timeout=PROBE_TIMEOUT_S)

    def _destroy(self) -> None:
        self._producer.purge()  # close() would wait for the broker, and there is no delivery timeout to end that
        self._producer.close()
