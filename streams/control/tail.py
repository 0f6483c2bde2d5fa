"""Reads `comms.control` from its beginning, and goes on reading: every process applies a switch as it is written."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.kafka.settings import KafkaSettings
from schemas.codec import Codec
from schemas.errors import DecodeError, RegistryUnavailable, SchemaNotLoaded
from schemas.records import Control
from schemas.topics import CONTROL

log = structlog.get_logger(__name__)

POLL_S = 0.2
"""How late a stop is noticed; records wake the poll at once."""
ASK_TIMEOUT_S = 5.0
RETRY_S = 0.5
_GONE_WRONG = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
    }
)
"""What waiting does not mend. Everything else passes, or shows itself to the consumer that the stage lives by."""

Take = Callable[[bytes, Control | None], None]


class ControlTail:
    """Gives every record to `take`, in the loop that called `start`.

    Args:
        take: given key and record (None: a tombstone), in the order of the log.
        broken: told what waiting does not mend; the process must end.
    """

    def __init__(
        self, kafka: KafkaSettings, codec: Codec, *, take: Take, broken: Callable[[Exception], Awaitable[None]]
    ) -> None:
        self._config: dict[str, object] = {
            **kafka.reader_config("commlayer-control"),
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
        }
        self._codec = codec
        self._take = take
        self._broken = broken
        self._stopping = threading.Event()
        self._caught_up = asyncio.Event()
        self._thread: asyncio.Task[None] | None = None
        self._loop: asyncio.AbstractEventLoop

    async def start(self) -> None:
        """Begin to read."""
        self._loop = asyncio.get_running_loop()
        self._thread = asyncio.create_task(self._run(), name="control tail")

    async def stop(self) -> None:
        """End."""
        self._stopping.set()
        if self._thread is not None:
            await asyncio.gather(self._thread, return_exceptions=True)

    async def caught_up(self) -> None:
        """Return once everything that was written when reading began has been taken."""
        await self._caught_up.wait()

    async def _run(self) -> None:
        try:
            await asyncio.to_thread(self._read)
        except Exception as error:
            await self._broken(error)

    # In a thread ------------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        consumer = Consumer(self._config)
        try:
            partitions = self._partitions(consumer)
            consumer.assign([TopicPartition(CONTROL, partition, 0) for partition in partitions])
            behind = set(partitions)
            while not self._stopping.is_set():
                message = consumer.poll(POLL_S)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    self._give(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    behind.discard(message.partition())
                    if not behind:
                        self._loop.call_soon_threadsafe(self._caught_up.set)
                elif error.fatal() or error.code() in _GONE_WRONG:
                    raise KafkaException(error)
        finally:
            consumer.close()

    def _partitions(self, consumer: Consumer) -> list[int]:
        while not self._stopping.is_set():
            try:
                topic = consumer.list_topics(CONTROL, timeout=ASK_TIMEOUT_S).topics[CONTROL]
            except KafkaException:
                self._stopping.wait(RETRY_S)
                continue
            if topic.error is None and topic.partitions:
                return sorted(topic.partitions)
            if topic.error is not None and topic.error.code() in _GONE_WRONG:
                raise KafkaException(topic.error)
            self._stopping.wait(RETRY_S)
        return []

    def _give(self, message: Message) -> None:
        key, value = message.key() or b"", message.value()
        record: Control | None = None
        if value is not None:
            record = self._decoded(message, value)
            if record is None:
                return
        self._loop.call_soon_threadsafe(self._take, key, record)

    def _decoded(self, message: Message, value: bytes) -> Control | None:
        while not self._stopping.is_set():
            try:
                record = self._codec.decode(value)
            except SchemaNotLoaded as missing:
                try:
                    self._codec.load(missing.schema_id)  # type: ignore[attr-defined]  # only such a codec raises it
                except RegistryUnavailable:
                    self._stopping.wait(RETRY_S)
                except DecodeError as error:
                    return _unreadable(message, error)
            except DecodeError as error:
                return _unreadable(message, error)
            else:
                return record if isinstance(record, Control) else None
        return None


def _unreadable(message: Message, error: DecodeError) -> Control | None:
    """A switch that nobody can read changes nothing; the operator sees that it does not show."""
    log.error("control record cannot be read", offset=message.offset(), why=str(error))
    return None
