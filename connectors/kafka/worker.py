"""One stage, running in this process until it is told to stop.

    app = create_app(settings, group="commlayer.dispatch", anchor="comms.dispatch.critical", datadir=...)
    stage.register(app)
    sys.exit(StageWorker(app, before_start=[publisher.start, stage.start], after_stop=[stage.stop, publisher.stop],
                         health=board, required_topics={...}, health_port=8081).run())

Exit codes: 0 told to stop, 1 something broke (the orchestrator restarts it), 2 the configuration or the topics are
wrong (a restart will not help).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import structlog
from aiohttp import web

from connectors.garbage import collect_seldom
from connectors.health import Health, HealthBoard, add_routes

from .app import StageApp, create_app
from .broker_wait import BrokerWait, KafkaRefused
from .hooks import ConfigurationRefused
from .repeats import say_repeats_once

__all__ = ["EXIT_BROKEN", "EXIT_MISCONFIGURED", "EXIT_STOPPED", "StageWorker", "create_app"]

log = structlog.get_logger(__name__)

EXIT_STOPPED, EXIT_BROKEN, EXIT_MISCONFIGURED = 0, 1, 2

STOP_WITHIN_S = 14.0
"""A stop that takes longer ends the process where it is. The finished prefix has been committed long before; 15 s is
what is promised, and half of what Kubernetes allows."""

LOOK_EVERY_S = 0.25
"""How often a crash is looked for. Faust also reports one from the consumer's thread, which wakes nobody."""

Step = Callable[[], Awaitable[None]]


class HealthPortTaken(Exception):
    """Health cannot be served where it should be."""


class StageWorker:
    """Runs one app. Health and metrics are served from the first moment, while it waits for the broker as well."""

    def __init__(
        self,
        app: StageApp,
        *,
        before_start: Sequence[Step] = (),
        before_serving: Sequence[Step] = (),
        after_stop: Sequence[Step] = (),
        health: HealthBoard,
        required_topics: Mapping[str, int],
        on_topics: Callable[[Mapping[str, int]], None] = lambda found: None,
        health_port: int | None,
        health_host: str = "127.0.0.1",
    ) -> None:
        """Nothing happens before `run`.

        Args:
            app: from `create_app`, its agents and hooks registered.
            before_start: awaited in order inside the loop, before the broker is waited for. They must not wait for it
                themselves, but may be cancelled by a stop.
            before_serving: awaited in order once the broker answered and has the topics, before anything is read.
            after_stop: awaited in order after the partitions were let go, also when something broke.
            health: gets the worker's own checks added.
            required_topics: topic → partition count; anything else ends the process with code 2.
            on_topics: told, before the app starts, which topics there are, with their partition counts; may add agents.
            health_port: where to serve `/health/live`, `/health/ready` and `/metrics`; None: nowhere.
            health_host: address to serve them on.
        """
        self._app = app
        self._before_start = before_start
        self._before_serving = before_serving
        self._after_stop = after_stop
        self._health = health
        self._required_topics = required_topics
        self._on_topics = on_topics
        self._health_port = health_port
        self._health_host = health_host
        self._broker = BrokerWait(app.consumer_options.settings)
        self._deadline = _Deadline(STOP_WITHIN_S)
        self._stop_failed = False
        health.ready_when("kafka", self._broker.health)
        health.ready_when("partitions", self._partitions)
        health.ready_when("sharing out", self._sharing_out)
        health.ready_when("kafka retention", self._retention)
        health.live_while("kafka fetches", self._fetches)

    def run(self) -> int:
        """Run until SIGTERM or SIGINT, or until something breaks. Returns the exit code."""
        say_repeats_once()
        try:
            with _uvloop():
                return asyncio.run(self._run())
        finally:
            self._deadline.cancel()  # not before: the end of a loop waits for its threads, however long they take

    async def _run(self) -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop, number, stop)
        try:
            async with self._served_health():
                try:
                    code = await self._serve(stop)
                finally:
                    for step in self._after_stop:
                        await self._stopping(step)
        except HealthPortTaken as taken:
            log.error("cannot start", why=str(taken))
            return EXIT_BROKEN
        if self._stop_failed:
            code = code or EXIT_BROKEN
        log.info("stopped", exit_code=code)
        return code

    def _told_to_stop(self, number: signal.Signals, stop: asyncio.Event) -> None:
        if not stop.is_set():
            log.info("told to stop", signal=signal.Signals(number).name)
            stop.set()
            self._deadline.start()

    async def _serve(self, stop: asyncio.Event) -> int:
        try:
            if not await _unless(stop, self._prepare()):
                return EXIT_STOPPED
        except KafkaRefused as refused:
            log.error("cannot start", why=str(refused))
            return EXIT_MISCONFIGURED
        except Exception:
            log.exception("cannot start")
            return EXIT_BROKEN
        return await self._run_app(stop)

    async def _prepare(self) -> None:
        for step in self._before_start:
            await step()
        self._on_topics(await self._broker.until_ready(self._required_topics))
        for step in self._before_serving:
            await step()
        collect_seldom()

    async def _run_app(self, stop: asyncio.Event) -> int:
        app = self._app
        started = asyncio.ensure_future(app.start())
        while not (stop.is_set() or app.crashed or (started.done() and started.exception())):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await stop.wait()
        broken = app.crash_reason or (started.exception() if started.done() else None)
        if broken is not None:
            log.error("broken, stopping", error=repr(broken), exc_info=broken)
            self._deadline.start()
        elif app._consumer is not None:
            await self._stopping(app.consumer.let_go)
        await self._stopping(app.stop)
        started.cancel()
        await asyncio.wait([started])
        if isinstance(broken, ConfigurationRefused):
            return EXIT_MISCONFIGURED
        return EXIT_STOPPED if broken is None and not app.crashed else EXIT_BROKEN

    async def _stopping(self, step: Step) -> None:
        """What fails while the process ends must not keep the rest from ending."""
        try:
            await step()
        except Exception:
            self._stop_failed = True
            log.exception("failed while stopping")

    def _partitions(self) -> Health:
        consumer: Any = self._app._consumer
        if consumer is None or not consumer.flowing:
            return Health(False, "not assigned and restored yet")
        return Health(self._app.lease.valid(), f"{len(consumer.partitions)} partitions")

    def _sharing_out(self) -> Health:
        consumer: Any = self._app._consumer
        return Health(True) if consumer is None else consumer.sharing_out_health()

    def _retention(self) -> Health:
        consumer: Any = self._app._consumer
        return Health(True) if consumer is None else consumer.retention_health()

    def _fetches(self) -> Health:
        consumer: Any = self._app._consumer
        return Health(True) if consumer is None else consumer.fetches()

    @contextlib.asynccontextmanager
    async def _served_health(self) -> AsyncIterator[None]:
        if self._health_port is None:
            yield
            return
        routes = web.Application()
        add_routes(routes, self._health)
        runner = web.AppRunner(routes, access_log=None)
        await runner.setup()
        try:
            try:
                await web.TCPSite(runner, self._health_host, self._health_port).start()
            except OSError as error:
                raise HealthPortTaken(
                    f"cannot serve health on {self._health_host}:{self._health_port}: {error.strerror}"
                ) from error
            host, port = runner.addresses[0][:2]
            log.info("health listens", host=host, port=port)
            yield
        finally:
            await runner.cleanup()


async def _unless(stop: asyncio.Event, work: Awaitable[None]) -> bool:
    """Await the work; False, and the work cancelled, if the stop comes first."""
    working, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait([working, stopped], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if working.done():
        working.result()
        return True
    working.cancel()
    await asyncio.wait([working])
    return False


class _Deadline:
    """Ends the process if it is still there after so many seconds; the loop itself may be what hangs."""

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True

    def start(self) -> None:
        if not self._timer.is_alive() and not self._timer.finished.is_set():
            self._timer.start()

    def cancel(self) -> None:
        self._timer.cancel()

    def _end(self) -> None:
        log.error("did not stop in time, ending the process", seconds=self._timer.interval)
        os._exit(EXIT_BROKEN)


@contextlib.contextmanager
def _uvloop() -> Iterator[None]:
    """For the main loop and the one that Faust makes for the consumer's thread: a third less CPU per record."""
    try:
        import uvloop
    except ImportError:  # not made for Windows
        yield
        return
    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    try:
        yield
    finally:
        asyncio.set_event_loop_policy(before)
