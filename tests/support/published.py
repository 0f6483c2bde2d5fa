"""A publisher that keeps what it was given, for tests of what is published; Kafka itself is tested elsewhere."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from connectors.health import Health
from connectors.kafka.publisher import DurablePublisher, Position
from connectors.kafka.settings import KafkaSettings
from tests.support.kafka import Outgoing


class RecordingPublisher(DurablePublisher):
    """Acknowledges everything at once.

    Attributes:
        records: what was published, in order.
        failure: if set, what every future raises instead.
    """

    def __init__(self) -> None:
        super().__init__(KafkaSettings(("127.0.0.1:1",)), name="recording")
        self.records: list[Outgoing] = []
        self.failure: Exception | None = None

    async def start(self) -> None: ...

    async def warm(self) -> None: ...

    def publish(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> asyncio.Future[Position]:
        future: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        if self.failure is not None:
            future.set_exception(self.failure)
            return future
        self.records.append(Outgoing(topic, value, key, partition, tuple(headers)))
        future.set_result(Position(topic, partition or 0, len(self.records) - 1))
        return future

    async def stop(self, timeout_s: float = 10.0) -> None: ...

    def health(self) -> Health:
        return Health(True)
