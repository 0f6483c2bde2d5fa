"""Health and metrics of `run all`: whether every process runs and is ready, and how often each was started again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial

import aiohttp
import structlog
from aiohttp import web
from prometheus_client import Counter

from connectors.health import Health, HealthBoard, add_routes

ASK_EVERY_S = 1.0
ANSWER_WITHIN_S = 2.0

STARTS = Counter("commlayer_supervisor_starts", "Starts of a process, the first one included", ["process"])

log = structlog.get_logger(__name__)


class Together:
    """Asks the processes and tells what they said.

    Args:
        running: whether a process runs, by name.
        urls: `/health/ready` of each process that has one; without, running is being ready.
    """

    def __init__(self, names: list[str], running: Callable[[str], bool], urls: Mapping[str, str]) -> None:
        self._running = running
        self._urls = urls
        self._said = {name: Health(False, "not asked yet") for name in urls}
        self.board = HealthBoard()
        for name in names:
            self.board.ready_when(name, partial(self._ready, name))

    @contextlib.asynccontextmanager
    async def served(self, host: str, port: int) -> AsyncIterator[None]:
        """Serve `/health/live`, `/health/ready` and `/metrics` while the block runs.

        Raises:
            OSError: the port is taken.
        """
        routes = web.Application()
        add_routes(routes, self.board)
        runner = web.AppRunner(routes, access_log=None)
        await runner.setup()
        asking = asyncio.create_task(self._ask(), name="health of all")
        try:
            await web.TCPSite(runner, host, port).start()
            host, port = runner.addresses[0][:2]
            log.info("health listens", host=host, port=port)
            yield
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            await runner.cleanup()

    def _ready(self, name: str) -> Health:
        if not self._running(name):
            return Health(False, "not running")
        return self._said.get(name, Health(True, "running"))

    async def _ask(self) -> None:
        timeout = aiohttp.ClientTimeout(total=ANSWER_WITHIN_S)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                for name, url in self._urls.items():
                    self._said[name] = await _asked(session, url)
                await asyncio.sleep(ASK_EVERY_S)


async def _asked(session: aiohttp.ClientSession, url: str) -> Health:
    try:
        async with session.get(url) as answer:
            parts = (await answer.json())["parts"]
    except (aiohttp.ClientError, TimeoutError, ValueError, KeyError):
        return Health(False, "does not answer")
    waiting = [f"{name}: {part['detail']}" for name, part in parts.items() if not part["ok"]]
    return Health(not waiting, "; ".join(waiting))
