"""What every stage does first with a raw record: make it a typed one, or a dead letter with a named reason."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple, Protocol, runtime_checkable

import structlog
from prometheus_client import Counter

from connectors.health import Health
from connectors.kafka.origin import Source, headers_of
from connectors.kafka.publisher import DurablePublisher
from connectors.outage import Outage
from schemas.codec import Codec
from schemas.errors import DecodeError, RegistryUnavailable, SchemaNotLoaded
from schemas.reasons import Reason
from schemas.records import DeadLetter, Record, Stage
from schemas.topics import DEAD, app_of

_log = structlog.get_logger(__name__)

MAX_VALUE_BYTES = 512 * 1024
"""A stage accepts no larger value. Our own records have a few kB; a dead letter holds one whole and still fits into
Kafka's 1 MB."""
_MAX_KEY_BYTES = 4096  # a recipient has 16
_MAX_HEADER_BYTES = 64 * 1024  # of all together; trace context has 100
_MAX_TEXT = 1000

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
"""Pauses between questions to an absent registry double."""
SAID_AGAIN_AFTER_MS = 60_000
"""An app that writes rubbish writes much of it: one line in the log per topic, reason and minute."""

_dead_letters = Counter("commlayer_dead_letters", "Records put on comms.dead.", ["stage", "topic", "reason"])


@runtime_checkable
class _LoadsSchemas(Protocol):
    def load(self, schema_id: int) -> None: ...


class _Said(NamedTuple):
    at_ms: int
    since: int


class Intake:
    """Reads records for one stage. All methods belong to the stage's event loop.

    Args:
        stage: who refuses, as dead letters tell it.
        codec: reads and writes records.
        publisher: writes dead letters.
        now_ms: wall clock, epoch milliseconds UTC.
    """

    def __init__(
        self,
        *,
        stage: Stage,
        codec: Codec,
        publisher: DurablePublisher,
        now_ms: Callable[[], int],
    ) -> None:
        self._stage = stage
        self._codec = codec
        self._publisher = publisher
        self._now_ms = now_ms
        self._registry = Outage("schema registry")
        self._asking = asyncio.Lock()
        self._said: dict[tuple[str, Reason], _Said] = {}

    async def read(self, message: Source, expected: tuple[type[Record], ...]) -> Record | None:
        """The record; None when it was dead-lettered and that is acknowledged, so that the input can be finished.

        While the registry that must explain a schema id is away, this waits.

        Args:
            expected: types that belong on the topic.

        Raises:
            PublishRejected, PublisherClosed: the dead letter could not be written (see DurablePublisher).
        """
        data = message.value or b""
        if len(data) > MAX_VALUE_BYTES:
            await self.dead(
                message,
                reason=Reason.OVERSIZED,
                detail=f"the value has {len(data)} bytes, and {MAX_VALUE_BYTES} are accepted",
                fix="pass large media by URL",
            )
            return None
        try:
            record = await self.decode(data)
        except DecodeError as error:
            await self.dead(
                message,
                reason=error.reason,
                detail=error.detail,
                field=error.field,
                fix=error.fix,
                schema_id=error.schema_id,
                replayable=error.reason is Reason.UNKNOWN_SCHEMA,
            )
            return None
        if not isinstance(record, expected):
            await self.dead(
                message,
                reason=Reason.UNEXPECTED_RECORD,
                detail=f"{record.AVRO_NAME} does not belong on {message.topic}",
                fix=f"write {' or '.join(one.AVRO_NAME for one in expected)}",
                message_id=getattr(record, "message_id", None),
            )
            return None
        return record

    async def dead(
        self,
        message: Source,
        *,
        reason: Reason,
        detail: str,
        field: str | None = None,
        fix: str | None = None,
        app: str | None = None,
        message_id: str | None = None,
        schema_id: int | None = None,
        replayable: bool = False,
    ) -> None:
        """Put the record on comms.dead and wait for the ack. Key, value and headers are cut to what fits into a record.

        Args:
            detail: what is wrong; holds no bodies.
            app: the app, by the topic when None.
            replayable: a replay may succeed after a fix outside the record.

        Raises:
            PublishRejected, PublisherClosed: see DurablePublisher.
        """
        value = message.value
        key = message.key[:_MAX_KEY_BYTES] if message.key is not None else None
        letter = DeadLetter(
            stage=self._stage,
            reason=reason.value,
            field=field[:_MAX_TEXT] if field is not None else None,
            detail=detail[:_MAX_TEXT],
            fix=fix[:_MAX_TEXT] if fix is not None else None,
            source_topic=message.topic,
            source_partition=message.partition,
            source_offset=message.offset,
            source_timestamp=_milliseconds(message.timestamp),
            key=key,
            value=value[:MAX_VALUE_BYTES] if value is not None else None,
            value_size=len(value) if value is not None else 0,
            headers=_fitting_headers(message),
            app=app if app is not None else app_of(message.topic),
            message_id=message_id,
            schema_id=schema_id,
            at=self._now_ms(),
            replayable=replayable,
        )
        await self._publisher.publish(DEAD, self._codec.encode(letter), key=key)
        _dead_letters.labels(self._stage.value, message.topic, reason.value).inc()
        self._say(letter, reason)

    def health(self) -> Health:
        """Not ok while a record waits for the registry."""
        return self._registry.health() if self._asking.locked() else Health(True)

    async def decode(self, data: bytes) -> Record:
        """The record in bytes that need not come from a topic. Waits for the registry as `read` does.

        Raises:
            DecodeError: the bytes will never become a record.
        """
        try:
            return self._codec.decode(data)
        except SchemaNotLoaded:
            async with self._asking:  # records of a new schema come in hundreds; one of them asks
                return await self._decode_asking(data)

    async def _decode_asking(self, data: bytes) -> Record:
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return self._codec.decode(data)
            except SchemaNotLoaded as missing:
                assert isinstance(self._codec, _LoadsSchemas), "only a codec that can load schemas asks for one"
                try:
                    await asyncio.to_thread(self._codec.load, missing.schema_id)
                except RegistryUnavailable as error:
                    self._registry.began(str(error))
                    await asyncio.sleep(pause_s)
                    pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
                    continue
                except DecodeError:
                    self._registry.ended()
                    raise
                self._registry.ended()

    def _say(self, letter: DeadLetter, reason: Reason) -> None:
        last = self._said.get((letter.source_topic, reason))
        if last is not None and letter.at - last.at_ms < SAID_AGAIN_AFTER_MS:
            self._said[letter.source_topic, reason] = last._replace(since=last.since + 1)
            return
        self._said[letter.source_topic, reason] = _Said(letter.at, 0)
        _log.warning(
            "dead letter",
            stage=self._stage.value,
            topic=letter.source_topic,
            partition=letter.source_partition,
            offset=letter.source_offset,
            reason=reason.value,
            field=letter.field,
            detail=letter.detail,
            unsaid=last.since if last is not None else 0,
        )


def _milliseconds(timestamp: float | None) -> int | None:
    return round(timestamp * 1000) if timestamp is not None and timestamp >= 0 else None


def _fitting_headers(message: Source) -> dict[str, bytes]:
    """As many headers as have room, the first ones first; of several with one name the last."""
    fitting: dict[str, bytes] = {}
    room = _MAX_HEADER_BYTES
    for name, value in headers_of(message):
        size = len(name.encode()) + len(value)
        if size <= room:
            fitting[name] = value
            room -= size
    return fitting
