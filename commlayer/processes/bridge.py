"""The bridge process: Twilio's webhooks become records."""

from __future__ import annotations

import asyncio
import dataclasses

import structlog
import uvloop

from commlayer.config import Loaded, conversions
from connectors.health import HealthBoard
from connectors.kafka.broker_wait import BrokerWait, KafkaRefused
from connectors.kafka.publisher import DurablePublisher
from connectors.webhooks.server import run_bridge

from . import Process, RunOptions
from .contracts import Contracts, open_registry
from .stage import required_topics, wall_clock_ms

_log = structlog.get_logger(__name__)


def run(loaded: Loaded, options: RunOptions) -> int:
    """Run until told to stop. Returns the exit code."""
    return uvloop.run(_run(loaded, options))


async def _run(loaded: Loaded, options: RunOptions) -> int:
    config, secrets = loaded.config, loaded.secrets
    kafka = conversions.kafka_settings(config, secrets)
    settings = conversions.bridge_settings(config, secrets)
    if options.listen is not None:
        host, port = options.listen
        settings = dataclasses.replace(settings, host=host, port=port)
    contracts = Contracts(open_registry(config, secrets))
    broker = BrokerWait(kafka)
    stop = asyncio.Event()
    broken: list[str] = []

    def on_fatal(why: str) -> None:
        broken.append(why)
        stop.set()

    async def prepare() -> None:
        await contracts.prepare()
        await broker.until_ready(required_topics(config, Process.BRIDGE))

    board = HealthBoard()
    board.ready_when("contracts", contracts.health)
    board.ready_when("topics", broker.health)
    publisher = DurablePublisher(kafka, name="commlayer.bridge", on_fatal=on_fatal)
    try:
        await run_bridge(settings, publisher, contracts.codec, board, wall_clock_ms, prepare=prepare, stop=stop)
    except KafkaRefused as refused:
        _log.error("cannot start", why=str(refused))
        return 2
    except OSError as error:
        _log.error("cannot listen", host=settings.host, port=settings.port, why=error.strerror or str(error))
        return 1
    return 1 if broken else 0
