"""Records on their way to Kafka: waited for within a deadline, and never more than a set number at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Protocol

from prometheus_client import Gauge

from connectors.health import Health
from connectors.kafka.publisher import Position
from schemas.codec import Codec
from schemas.errors import ContractError
from schemas.records import Record

from .burst import Burst

_unacknowledged = Gauge("commlayer_bridge_unacknowledged_records", "Records handed to Kafka and not acknowledged yet.")


class Publisher(Protocol):
    """What the bridge needs of the durable publisher."""

    def publish(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> asyncio.Future[Position]:
        """Hand over a record; the future resolves when Kafka has acknowledged it."""

    def health(self) -> Health:
        """Whether records can be written now."""


class Delivery:
    """Publishes records and waits for their acknowledgement, but not for ever.

    A record whose wait ended stays with the publisher, which goes on for as long as Kafka is away. So it counts until
    it is acknowledged, and an outage cannot fill the memory.
    """

    def __init__(self, publisher: Publisher, codec: Codec, *, limit: int) -> None:
        self._publisher = publisher
        self._codec = codec
        self._limit = limit
        self._unacknowledged = 0
        self._unwritable = Burst("webhooks cannot be written as records")
        self._refused = Burst("records of webhooks refused by Kafka")

    @property
    def full(self) -> bool:
        """No further record is taken now."""
        return self._unacknowledged >= self._limit

    @property
    def unacknowledged(self) -> int:
        """Records handed over and not acknowledged."""
        return self._unacknowledged

    async def stored(self, topic: str, record: Record, key: str, *, until_s: float) -> bool:
        """Whether Kafka has acknowledged the record before `until_s` on the clock. When not, it may still do so."""
        try:
            value = self._codec.encode(record)
        except ContractError as error:  # the registry has not answered yet, or a defect of ours: no reason for 2xx
            self._unwritable.happened(record=record.AVRO_NAME, why=type(error).__name__)
            return False
        future = self._publisher.publish(topic, value, key=key.encode("utf-8", "replace"))
        self._unacknowledged += 1
        _unacknowledged.set(self._unacknowledged)
        future.add_done_callback(self._done)
        await asyncio.wait([future], timeout=max(until_s - time.monotonic(), 0))
        return future.done() and not future.cancelled() and future.exception() is None

    def _done(self, future: asyncio.Future[Position]) -> None:
        self._unacknowledged -= 1
        _unacknowledged.set(self._unacknowledged)
        if not future.cancelled() and (error := future.exception()) is not None:
            self._refused.happened(why=str(error))

    def close(self) -> None:
        """Finish the log lines that are open."""
        self._unwritable.close()
        self._refused.close()
