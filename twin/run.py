"""Run a twin as a process of its own until SIGTERM or SIGINT."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable

import structlog

from twin.server import Twin
from twin.settings import TwinSettings

log = structlog.get_logger(__name__)


def serve(
    settings: TwinSettings,
    host: str = "127.0.0.1",
    port: int = 8090,
    *,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until a signal ends it.

    Args:
        port: 0 picks a free one.
        ready: called with the URL once it listens.

    Raises:
        OSError: the port is taken.
    """
    main = _serve(settings, host, port, ready)
    if sys.platform == "win32":
        asyncio.run(main)
        return
    import uvloop

    uvloop.run(main)


async def _serve(settings: TwinSettings, host: str, port: int, ready: Callable[[str], None] | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Twin(settings, host=host, port=port) as twin:
        log.info("twin listens", url=twin.url, accounts=len(settings.accounts), senders=len(settings.senders))
        if ready is not None:
            ready(twin.url)
        await stop.wait()
        log.info("twin stops", **{name: twin.books.summary()[name] for name in ("accepted", "final")})
