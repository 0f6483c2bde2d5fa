"""The demo from first to last: start everything, send, watch, wait until all is final, and close the books."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

import aiohttp
import structlog
from commlayer_client import Publisher
from rich.console import Console
from rich.live import Live
from rich.table import Table

from commlayer.processes.supervisor import Supervisor
from schemas.codec import SingleObjectCodec
from schemas.topics import catalogue

from .balance import Balance, balance
from .books import TwinBooks
from .embedded import EmbeddedBroker
from .installation import Installation
from .observer import Observer
from .plan import APPS, LOGIN, SENDERS, Fate, Plan, PlannedMessage, plan
from .view import Scene, draw, tell

START_WITHIN_S = 40.0
"""Six Python processes on a busy machine of two cores need up to 15 s; beyond this something is broken."""
DRAIN_WITHIN_S = 25.0
"""After the traffic: what is queued at the slowest sender, and the last callbacks."""
CUE_WITHIN_S = 10.0
"""A message whose cue does not come goes without it, and ends as a surprise in the books."""
ASK_CUE_EVERY_S = 0.1
FRAMES_PER_S = 4.0
PLAIN_EVERY_S = 3.0
DONE = "done"


class DemoFailed(Exception):
    """The demo could not run to its end; the message says why and where the logs are."""


@dataclass(slots=True)
class Run:
    """One run of the demo.

    Attributes:
        seconds: length of the traffic.
        bootstrap: a Kafka to use, its topics are created; None for the embedded broker.
        console: where to show it; plain lines when it is no terminal.
    """

    seconds: float
    bootstrap: str | None
    console: Console

    async def perform(self) -> Balance:
        """Everything. Leaves nothing running.

        Raises:
            DemoFailed: something did not come up, or the logs say why it ended.
        """
        traffic = plan(self.seconds, datetime.now(UTC))
        scene = Scene(total_s=self.seconds)
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="commlayer-demo-")))
            embedded = None if self.bootstrap else EmbeddedBroker()
            bootstrap = embedded.bootstrap if embedded else str(self.bootstrap)
            installation = Installation.make(folder, bootstrap, traffic)
            if embedded is not None:
                names = [topic.name for topic in catalogue(APPS)]
                await asyncio.to_thread(embedded.create_topics, names)
            else:
                await _apply_topics(installation)
            observer = Observer(bootstrap, SingleObjectCodec(), {name: rate for name, (_, rate) in SENDERS.items()})
            await asyncio.to_thread(observer.start)
            stack.callback(observer.stop)
            show = await stack.enter_async_context(self._shown(scene, observer))
            log = stack.enter_context((folder / "processes.log").open("w+", encoding="utf-8"))
            await stack.enter_async_context(_running(installation, log))
            session = await stack.enter_async_context(aiohttp.ClientSession())
            await _until_ready(session, installation, log)
            books = TwinBooks(session, installation.twin_url)
            requested = await self._traffic(traffic, scene, bootstrap, books, observer)
            scene.phase = "draining"
            await _until_final(requested, observer, books, len(traffic.replies))
            scene.phase = DONE
            result = balance(requested, await books.accepted(), await books.refused(), observer.final_statuses())
            show()
            return result

    async def _traffic(
        self, traffic: Plan, scene: Scene, bootstrap: str, books: TwinBooks, observer: Observer
    ) -> dict[str, PlannedMessage]:
        scene.phase = "traffic"
        began = time.monotonic()
        requested: dict[str, PlannedMessage] = {}

        async def until(at_s: float) -> None:
            await asyncio.sleep(max(0.0, began + at_s - time.monotonic()))

        async def clock() -> None:
            while (elapsed := time.monotonic() - began) < self.seconds:
                scene.elapsed_s = elapsed
                await asyncio.sleep(1 / FRAMES_PER_S)
            scene.elapsed_s = self.seconds

        async def send(publisher: Publisher, messages: list[PlannedMessage]) -> None:
            async with asyncio.TaskGroup() as sending:
                for message in messages:
                    await until(message.at_s)
                    sending.create_task(send_one(publisher, message))

        async def send_one(publisher: Publisher, message: PlannedMessage) -> None:
            await cue(message)
            receipt = await publisher.send(
                to=message.to,
                category=message.category,
                body=message.body,
                idempotency_key=message.key,
                urgent=message.app == LOGIN,
            )
            requested[receipt.message_id] = message
            scene.requested[message.app] += 1

        async def cue(message: PlannedMessage) -> None:
            given_up = time.monotonic() + CUE_WITHIN_S
            while time.monotonic() < given_up:
                ended = {requested[known].key for known in requested.keys() & observer.final_statuses().keys()}
                if traffic.cued(message, ended, observer.opted_out()):
                    return
                await asyncio.sleep(ASK_CUE_EVERY_S)

        async def answer() -> None:
            for reply in traffic.replies:
                await until(reply.at_s)
                await books.answer(reply.person, reply.text)

        async with AsyncExitStack() as publishers, asyncio.TaskGroup() as group:
            group.create_task(clock())
            group.create_task(answer())
            for app in APPS:
                publisher = await publishers.enter_async_context(Publisher(app=app, bootstrap=bootstrap))
                group.create_task(send(publisher, [message for message in traffic.messages if message.app == app]))
        return requested

    @asynccontextmanager
    async def _shown(self, scene: Scene, observer: Observer) -> AsyncIterator[Callable[[], None]]:
        """Show the scene while the block runs; yields what shows it once more at once."""
        live = Live(console=self.console, auto_refresh=False) if self.console.is_terminal else None
        told = ""

        def show() -> None:
            nonlocal told
            observer.fill(scene)
            if live is not None:
                live.update(draw(scene), refresh=True)
            elif (line := tell(scene)) != told:  # while processes start, nothing changes
                told = line
                self.console.print(line, soft_wrap=True, highlight=False)

        async def keep_showing() -> None:
            while scene.phase != DONE:
                show()
                await asyncio.sleep(PLAIN_EVERY_S if live is None else 1 / FRAMES_PER_S)

        if live is not None:
            live.start()
        showing = asyncio.create_task(keep_showing())
        try:
            yield show
        finally:
            showing.cancel()
            if live is not None:
                live.stop()


async def _apply_topics(installation: Installation) -> None:
    command = [sys.executable, "-m", "commlayer", "--config", str(installation.configuration_file)]
    process = await asyncio.create_subprocess_exec(
        *command, "topics", "apply", "--dev", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    if process.returncode != 0:
        raise DemoFailed(f"the topics could not be created:\n{output.decode()}")


@asynccontextmanager
async def _running(installation: Installation, log: TextIO) -> AsyncIterator[None]:
    def write(name: str, line: str) -> None:
        log.write(f"{name} | {line}\n")

    structlog.configure(logger_factory=structlog.WriteLoggerFactory(log))  # the screen is for the show
    supervisor = Supervisor(installation.children(), write=write)
    supervising = asyncio.create_task(supervisor.run())
    try:
        yield
    finally:
        supervisor.stop()
        await supervising
        structlog.reset_defaults()


async def _until_ready(session: aiohttp.ClientSession, installation: Installation, log: TextIO) -> None:
    waiting = installation.ready_urls()
    deadline = time.monotonic() + START_WITHIN_S
    while waiting:
        for name, url in list(waiting.items()):
            try:
                async with session.get(url) as response:
                    if response.status == 200:
                        del waiting[name]
            except aiohttp.ClientConnectionError:
                pass
        if time.monotonic() > deadline:
            raise DemoFailed(f"not ready after {START_WITHIN_S:.0f} s: {', '.join(waiting)}\n{_tail(log)}")
        await asyncio.sleep(0.1)


async def _until_final(
    requested: dict[str, PlannedMessage], observer: Observer, books: TwinBooks, replies: int
) -> None:
    """Wait until everything has ended, or for so long that it must be called lost."""
    deadline = time.monotonic() + DRAIN_WITHIN_S
    while time.monotonic() < deadline:
        told = requested.keys() <= observer.final_statuses().keys() and observer.replies_seen() >= replies
        if told and await books.settled():
            return
        await asyncio.sleep(0.2)


def _tail(log: TextIO, lines: int = 15) -> str:
    log.seek(0)
    return "".join(log.readlines()[-lines:])


def closing_table(result: Balance) -> Table:
    """The books in a table: the sums, and below them why messages ended without delivery."""
    table = Table(title="requested, and the twin's books", title_justify="left", min_width=34)
    table.add_column("")
    table.add_column("messages", justify="right")
    for name, count in (
        ("requested", result.requested),
        ("delivered", result.delivered),
        ("failed as planned", result.failed_as_planned),
        ("lost", result.lost),
        ("duplicated", result.duplicated),
    ):
        table.add_row(name, f"{count:,}")
    table.add_section()
    table.add_row("[bold]denied or failed, by reason[/]", "")
    for (fate, reason), count in sorted(result.by_reason.items(), key=lambda each: (-each[1], each[0])):
        table.add_row(f"  {reason}" if fate is Fate.DENIED else f"  {reason} {fate}", f"{count:,}")
    return table
