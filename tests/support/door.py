"""A TCP road to a server on this machine that a test can close and open, as a network does."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from tests.support.processes import free_ports

_CHUNK = 65_536


class Door:
    """Listens on 127.0.0.1 and passes every byte on to the server behind it. Shut: refuses new connections and cuts
    those that exist. Keeping answers: the server gets what it is sent, and what it says waits here.

    Args:
        host, port: the server behind.
    """

    def __init__(self, host: str, port: int) -> None:
        self._behind = (host, port)
        [self.port] = free_ports(1)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="door", daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._asking, self._answering = asyncio.Event(), asyncio.Event()
        self._asking.set()
        self._answering.set()

    @classmethod
    def to(cls, url: str) -> Door:
        """A door to the server of this URL."""
        parts = urlsplit(url)
        assert parts.hostname
        assert parts.port
        return cls(parts.hostname, parts.port)

    def __enter__(self) -> Door:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def open(self) -> None:
        """Let through from now on."""
        self._run(self._open())

    def shut(self) -> None:
        """Refuse and cut from now on."""
        self._run(self._shut())

    def keep_answers(self) -> None:
        """Let nothing through that the server says from now on."""
        self._loop.call_soon_threadsafe(self._answering.clear)

    def let_answers_go(self) -> None:
        """Let it through."""
        self._loop.call_soon_threadsafe(self._answering.set)

    def _run(self, what: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(what, self._loop).result(10)

    async def _open(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self.port)

    async def _shut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in list(self._writers):
            writer.transport.abort()
        await asyncio.sleep(0)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError):
                behind_reader, behind_writer = await asyncio.open_connection(*self._behind)
                self._writers.add(behind_writer)
                await asyncio.gather(
                    _copy(reader, behind_writer, self._asking), _copy(behind_reader, writer, self._answering)
                )
                self._writers.discard(behind_writer)
        finally:
            self._writers.discard(writer)
            writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, may: asyncio.Event) -> None:
    try:
        while chunk := await reader.read(_CHUNK):
            await may.wait()
            writer.write(chunk)
            await writer.drain()
    except OSError:
        pass
    finally:
        with contextlib.suppress(OSError, RuntimeError):
            writer.close()
