"""What the three stages have in common as processes: Kafka, codec, publisher, health, and a worker around them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

from commlayer.config import Configuration, Loaded, conversions
from connectors.health import HealthBoard
from connectors.kafka.app import StageApp, create_app
from connectors.kafka.losses import LossLetters
from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topic_partition import TP
from connectors.kafka.worker import StageWorker
from schemas.codec import Codec
from schemas.records import Stage
from schemas.topics import catalogue

from . import Process, RunOptions
from .contracts import Contracts, open_registry


class StageShape(Protocol):
    """What every stage of `streams` offers."""

    def register(self, app: StageApp) -> None:
        """Add agents and hooks."""

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End, letting go of what is unfinished."""

    def board(self, board: HealthBoard) -> None:
        """Add checks."""


AnyStage = TypeVar("AnyStage", bound=StageShape)


@dataclass(frozen=True, slots=True)
class Ground:
    """What a stage is built on.

    Attributes:
        datadir: folder of this process alone.
    """

    kafka: KafkaSettings
    codec: Codec
    publisher: DurablePublisher
    datadir: Path


class PublisherBroke(Exception):
    """Kafka will take nothing more from this process's producer: only a new process goes on."""


def wall_clock_ms() -> int:
    """Now, epoch milliseconds UTC."""
    return time.time_ns() // 1_000_000


def required_topics(config: Configuration, process: Process) -> dict[str, int]:
    """The topics that a process reads or writes, with their partition counts."""
    counts = conversions.partition_counts(config)
    return {
        topic.name: counts.of(topic.count)
        for topic in catalogue(config.apps)
        if process.value in (*topic.readers, *topic.writers)
    }


def run_stage(
    process: Process,
    loaded: Loaded,
    options: RunOptions,
    *,
    build: Callable[[Ground], AnyStage],
    anchor: str | None,
    window: Callable[[TP], int] | None = None,
    held: Callable[[TP], int] | None = None,
    on_topics: Callable[[AnyStage, Mapping[str, int]], None] = lambda stage, found: None,
) -> int:
    """Run a stage in this process until it is told to stop. Returns the exit code.

    Args:
        build: makes the stage; called once, before any loop runs.
        anchor: topic that decides which partitions are served here.
        window: delivery windows; the transport's default when None.
        held: how many records may be delivered beyond one that is not finished; the transport's default when None.
        on_topics: told, before the stage reads anything, which topics there are, with their partition counts.
    """
    config, secrets = loaded.config, loaded.secrets
    kafka = conversions.kafka_settings(config, secrets)
    contracts = Contracts(open_registry(config, secrets))
    datadir = Path(config.data_dir) / (options.instance_id or process.value)
    datadir.mkdir(parents=True, exist_ok=True)  # Faust makes only the last folder of the path
    group = f"commlayer.{process.value}"
    more = {name: rule for name, rule in (("window", window), ("held", held)) if rule is not None}
    app = create_app(kafka, group=group, anchor=anchor, instance_id=options.instance_id, datadir=datadir, **more)
    publisher = DurablePublisher(kafka, name=group, on_fatal=_crash(app))
    stage = build(Ground(kafka, contracts.codec, publisher, datadir))
    app.hooks.on_loss(LossLetters(Stage(process.value), contracts.codec, publisher, wall_clock_ms).write)
    stage.register(app)
    board = HealthBoard()
    board.ready_when("contracts", contracts.health)
    board.ready_when("publisher", publisher.health)
    stage.board(board)
    worker = StageWorker(
        app,
        before_start=[contracts.prepare, publisher.start, stage.start],
        before_serving=[publisher.warm],  # else the first decision would wait seconds for a producer id
        after_stop=[stage.stop, publisher.stop],
        health=board,
        required_topics=required_topics(config, process),
        on_topics=lambda found: on_topics(stage, found),
        health_port=getattr(config.health, process.value) if options.health_port is None else options.health_port,
        health_host=config.health.host,
    )
    return worker.run()


def _crash(app: StageApp) -> Callable[[str], None]:
    """What the publisher calls when it can go on no more; in the loop."""
    crashing: set[asyncio.Task[None]] = set()  # the loop itself holds tasks weakly

    def crash(why: str) -> None:
        crashing.add(asyncio.ensure_future(app.crash(PublisherBroke(why))))

    return crash
