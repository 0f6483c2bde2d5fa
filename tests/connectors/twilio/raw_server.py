"""HTTP servers that behave as badly as a test asks: they see the raw bytes and answer with raw bytes."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

Behaviour = Callable[["Seen", asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Seen:
    """One request as it came."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass
class RawServer:
    """Listens on 127.0.0.1; `behaviour` is called for each whole request, `on_connect` before anything is read."""

    behaviour: Behaviour
    on_connect: Callable[[asyncio.StreamWriter], Awaitable[bool]] | None = None
    requests: list[Seen] = field(default_factory=list)
    connections: int = 0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def __aenter__(self) -> RawServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._server.close()

    @property
    def address(self) -> str:
        host, port = self._server.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    @property
    def url(self) -> str:
        return f"http://{self.address}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        try:
            if self.on_connect is not None and not await self.on_connect(writer):
                return
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
                first, *lines = head.rstrip("\r\n").split("\r\n")
                method, target, _ = first.split(" ")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                seen = Seen(method, target, headers, body)
                self.requests.append(seen)
                await self.behaviour(seen, writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def response(
    status: int, body: bytes = b"", headers: dict[str, str] | None = None, *, length: int | None = None
) -> bytes:
    lines = {"Content-Type": "application/json", "Content-Length": str(len(body) if length is None else length)}
    head = "".join(f"{name}: {value}\r\n" for name, value in (lines | (headers or {})).items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode("latin-1") + body


def answering(raw: bytes) -> Behaviour:
    """Write these bytes and keep the connection open."""

    async def behave(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    return behave


def closing(raw: bytes = b"") -> Behaviour:
    """Write these bytes, then close in good order."""

    async def behave(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        writer.close()
        raise ConnectionResetError

    return behave


async def reset(_: Seen, writer: asyncio.StreamWriter) -> None:
    """Close with a TCP reset."""
    linger_zero = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_zero)
    writer.transport.abort()
    raise ConnectionResetError


async def hang(_: Seen, __: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


def dripping(raw: bytes, every_s: float) -> Behaviour:
    """Write one byte at a time."""

    async def behave(_: Seen, writer: asyncio.StreamWriter) -> None:
        for byte in raw:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(every_s)

    return behave
