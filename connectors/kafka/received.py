"""Records as a stage gets them that takes them by the batch.

Faust makes an event, a message and a turn of the loop for every record: a tenth of what a decision of policy takes, a
quarter of what dispatch takes to send. Where the agents of a stage take batches (`hooks.agents_take_batches`), Faust
carries one event for many records, whose value is a list of these:

    async for batch in stream.noack():
        for event in batch:
            stage.offer(event)

All records of a batch are of one partition and one generation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .topic_partition import TP


class Received:
    """One record. The names are those of Faust's messages.

    Attributes:
        tp: its partition.
        timestamp: epoch seconds; None or negative when unknown.
        headers: pairs of name and value.
        generation_id: of the assignment it was delivered in.
    """

    __slots__ = ("generation_id", "headers", "key", "offset", "partition", "timestamp", "topic", "tp", "value")

    def __init__(self, tp: TP, record: Any, generation_id: int) -> None:
        self.tp = tp
        self.topic, self.partition = tp
        self.offset: int = record.offset
        stamp: int | None = record.timestamp
        self.timestamp = None if stamp is None else stamp / 1000
        self.headers: tuple[tuple[str, bytes | None], ...] = record.headers
        self.key: bytes | None = record.key
        self.value: bytes | None = record.value
        self.generation_id = generation_id


class Delivered:
    """A record and the way to say that it is finished, as Faust's events have it."""

    __slots__ = ("_finish", "message")

    def __init__(self, message: Received, finish: Callable[[TP, int, int], bool]) -> None:
        self.message = message
        self._finish = finish

    def ack(self) -> bool:
        """It needs no further work. False if that does not count (any more)."""
        message = self.message
        return self._finish(message.tp, message.offset, message.generation_id)
