"""The bridge as a server: listening before Kafka is there, stopping without losing what is in flight."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from connectors.health import Health, HealthBoard
from connectors.kafka.publisher import DurablePublisher
from schemas.codec import Codec

from .bridge import create_bridge
from .burst import Burst
from .settings import BridgeSettings

_log = structlog.get_logger(__name__)

_KEEPALIVE_S = 75.0
"""Longer than load balancers keep idle connections (60 s), so that they close them and not we under a request."""

_FLUSH_S = 2.0
"""What Kafka has not acknowledged when the last webhook is answered was answered 503: worth a try, not a wait."""

_LINGER_S = 1.0
"""How long the rest of a refused body is read and thrown away, so that its sender gets to see our answer."""


class BridgeServer:
    """Serves an application of `create_bridge` until it is stopped."""

    def __init__(self, app: web.Application, settings: BridgeSettings, board: HealthBoard) -> None:
        self._settings = settings
        self._noise = Burst("requests that are no HTTP, or broke off")
        self._runner = web.AppRunner(
            app,
            access_log=None,
            logger=_ServerLog(self._noise),
            auto_decompress=False,
            lingering_time=_LINGER_S,
            keepalive_timeout=_KEEPALIVE_S,
            shutdown_timeout=settings.drain_s,
        )
        self._stopping = False
        board.ready_when("listening", lambda: Health(not self._stopping, "stopping" if self._stopping else ""))

    async def start(self) -> tuple[str, int]:
        """Listen; the address, with the port that was taken.

        Raises:
            OSError: the address cannot be had.
        """
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._settings.host, self._settings.port, backlog=1024)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        _log.info("bridge listens", host=host, port=port, public_url=self._settings.public_url)
        return host, port

    async def stop(self) -> None:
        """Accept nothing new, wait for webhooks in flight at most `drain_s`, close."""
        self._stopping = True
        await self._runner.cleanup()
        self._noise.close()
        _log.info("bridge stopped")


class _ServerLog(logging.LoggerAdapter[logging.Logger]):
    """aiohttp's log without what any stranger can fill it with: requests it could not parse, quoted, with traceback."""

    def __init__(self, noise: Burst) -> None:
        super().__init__(logging.getLogger("aiohttp.server"), {})
        self._noise = noise

    def log(self, level: int, msg: object, *args: object, exc_info: Any = None, **kwargs: Any) -> None:
        """Called for every line."""
        error = exc_info if isinstance(exc_info, BaseException) else sys.exc_info()[1]
        if isinstance(error, HttpProcessingError | web.RequestPayloadError | ConnectionError):
            self._noise.happened(why=type(error).__name__)
        else:
            super().log(level, msg, *args, exc_info=exc_info, **kwargs)


async def run_bridge(
    settings: BridgeSettings,
    publisher: DurablePublisher,
    codec: Codec,
    board: HealthBoard,
    now_ms: Callable[[], int],
    *,
    prepare: Callable[[], Awaitable[None]] | None = None,
    stop: asyncio.Event | None = None,
    on_listening: Callable[[str, int], None] | None = None,
) -> None:
    """Run the bridge until SIGTERM or SIGINT, or until `stop` is set.

    It listens at once: while Kafka or the registry is away webhooks get 503, and health says why.

    Args:
        settings, publisher, codec, board, now_ms: see `create_bridge`. The publisher is started and stopped here.
        prepare: what the codec needs before it can encode (schema ids of the registry); may wait for long.
        stop: ends the bridge from inside the process.
        on_listening: told the address.

    Raises:
        OSError: the address cannot be had.
        Exception: whatever `prepare` raises; the bridge is stopped first.
    """
    stop = stop or asyncio.Event()
    await publisher.start()
    server = BridgeServer(create_bridge(settings, publisher, codec, board, now_ms), settings, board)
    preparing = asyncio.ensure_future(_prepared(prepare, stop))
    try:
        address = await server.start()
        if on_listening is not None:
            on_listening(*address)
        with _stopped_by_signals(stop):
            await stop.wait()
    finally:
        await server.stop()
        preparing.cancel()
        await publisher.stop(_FLUSH_S)
    with contextlib.suppress(asyncio.CancelledError):
        await preparing


async def _prepared(prepare: Callable[[], Awaitable[None]] | None, stop: asyncio.Event) -> None:
    if prepare is None:
        return
    try:
        await prepare()
    except Exception:
        stop.set()
        raise


@contextlib.contextmanager
def _stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for each in signals:
        loop.add_signal_handler(each, stop.set)
    try:
        yield
    finally:
        for each in signals:
            loop.remove_signal_handler(each)
