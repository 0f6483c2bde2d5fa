"""What serving a record needs of the world, and whatever serves records in policy shares."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from connectors.kafka.intake import Intake
from connectors.kafka.publisher import DurablePublisher
from schemas.codec import Codec

from .config import PolicyConfig


@dataclass(frozen=True, slots=True)
class Surroundings:
    """One process's.

    Attributes:
        config: the installation.
        intake: reads records, and keeps what cannot be used as dead letters.
        codec: writes records.
        publisher: writes to Kafka.
        partitions: partitions of every topic that is keyed by recipient.
        now_ms: wall clock, epoch milliseconds UTC.
        may_act: asked with the event before whatever is decided or published; False: the record is another owner's by
            now. No await lies between its answer and the act.
        holds: whether `may_act` would say yes at once: nearly always, and then nothing need be awaited.
    """

    config: PolicyConfig
    intake: Intake
    codec: Codec
    publisher: DurablePublisher
    partitions: int
    now_ms: Callable[[], int]
    may_act: Callable[[Any], Awaitable[bool]]
    holds: Callable[[Any], bool] = lambda event: False
