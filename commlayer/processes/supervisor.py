"""`run all`: every stage as a process of its own, restarted when it breaks, stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from .backoff import Backoff
from .parentage import PARENT_VARIABLE
from .together import STARTS

EXIT_STOPPED, EXIT_BROKEN, EXIT_MISCONFIGURED = 0, 1, 2

GRACE_S = 14.5
"""A stage ends itself within 14 s of SIGTERM; together all are gone within the 15 s that are promised."""
LONGEST_LINE = 1024 * 1024
"""A log line may hold a traceback."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Child:
    """A process to keep running.

    Attributes:
        name: shown in front of its lines.
        command: program and arguments.
        environment: variables on top of the supervisor's own.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)


class Supervisor:
    """Keeps children running until it is told to stop, or until one says that its configuration is wrong (code 2).

    Args:
        children: what to run.
        write: gets every line of every child, with its name.
        grace_s: how long children may take to stop before they are killed.
    """

    def __init__(
        self, children: Sequence[Child], *, write: Callable[[str, str], None], grace_s: float = GRACE_S
    ) -> None:
        self._children = children
        self._write = write
        self._grace_s = grace_s
        self._running: dict[str, Process] = {}
        self._stopping = asyncio.Event()
        self._code = EXIT_STOPPED

    async def run(self) -> int:
        """Run until SIGTERM or SIGINT. Returns the exit code: 0 all stopped in time, 1 some had to be killed, 2 the
        configuration of one is wrong."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        keepers = [asyncio.create_task(self._keep(child), name=child.name) for child in self._children]
        await self._stopping.wait()
        for process in self._running.values():
            _signal(process, signal.SIGTERM)
        _, late = await asyncio.wait(keepers, timeout=self._grace_s)
        for name, process in self._running.items():
            log.error("did not stop in time, killed", child=name)
            _signal(process, signal.SIGKILL)
            self._code = self._code or EXIT_BROKEN
        if late:
            await asyncio.wait(late)
        for keeper in keepers:
            keeper.result()
        return self._code

    def runs(self, name: str) -> bool:
        """Whether this child runs now."""
        return name in self._running

    def stop(self) -> None:
        """Begin to stop everything."""
        self._stopping.set()

    async def _keep(self, child: Child) -> None:
        backoff = Backoff()
        while not self._stopping.is_set():
            began = time.monotonic()
            code = await self._run_once(child)
            if self._stopping.is_set():
                if code != 0:
                    self._code = self._code or EXIT_BROKEN
                return
            if code == EXIT_MISCONFIGURED:
                log.error("wrongly configured, stopping everything", child=child.name)
                self._code = EXIT_MISCONFIGURED
                self._stopping.set()
                return
            wait_s = backoff.after(time.monotonic() - began)
            log.warning("ended, starting it again", child=child.name, exit_code=code, wait_s=wait_s)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._stopping.wait()

    async def _run_once(self, child: Child) -> int:
        process = await asyncio.create_subprocess_exec(
            *child.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=STDOUT,
            env={**os.environ, **child.environment, PARENT_VARIABLE: str(os.getpid())},
            limit=LONGEST_LINE,
            start_new_session=True,  # Ctrl-C reaches the supervisor only, which passes it on in order
        )
        self._running[child.name] = process
        STARTS.labels(child.name).inc()
        log.info("started", child=child.name, pid=process.pid)
        if self._stopping.is_set():
            _signal(process, signal.SIGTERM)
        try:
            await self._forward(child.name, process)
            return await process.wait()
        finally:
            del self._running[child.name]

    async def _forward(self, name: str, process: Process) -> None:
        assert process.stdout is not None  # PIPE was asked for
        while True:
            try:
                line = await process.stdout.readline()
            except ValueError:  # longer than LONGEST_LINE; what was read of it is gone
                self._write(name, "(a line too long to show)")
                continue
            if not line:
                return
            self._write(name, line.decode(errors="replace").rstrip("\n"))


def _signal(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(number)
