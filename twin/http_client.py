"""A lean HTTP/1.1 client for webhooks: no cookies, no retries, no redirects, the URL sent byte by byte as given.

It tells apart what the retry policy of a webhook needs to know: no connection, or no answer.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import cast
from urllib.parse import quote, unquote, urlsplit

# Connections are kept only briefly: one that the other side closed meanwhile would count as "no answer".
_KEEP_S = 2.0
_MAX_HEAD = 64 * 1024
_MAX_BODY = 1024 * 1024


class NoConnection(Exception):
    """No TCP or TLS connection could be made."""


class NoAnswer(Exception):
    """The connection gave no complete answer, or not in time."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Target:
    host: str
    port: int
    secure: bool
    head: str  # request target, Host and credentials


@lru_cache(maxsize=4096)
def _target(url: str) -> _Target:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise NoConnection(f"no web address: {parts.scheme}")
    secure = parts.scheme == "https"
    path = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    query = "?" + quote(parts.query, safe="/?%:@!$&'()*+,;=~-._") if parts.query else ""
    userinfo, _, netloc = parts.netloc.rpartition("@")
    head = f"{path}{query} HTTP/1.1\r\nHost: {netloc}\r\n"
    if userinfo:
        head += f"Authorization: Basic {b64encode(unquote(userinfo).encode()).decode()}\r\n"
    return _Target(parts.hostname, parts.port or (443 if secure else 80), secure, head)


class _Connection(asyncio.Protocol):
    """One connection, one request at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._answer: asyncio.Future[Response] | None = None
        self._head: tuple[int, dict[str, str], int] | None = None
        self.reusable = True
        self.idle_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:
        self.reusable = False
        answer = self._answer
        if answer is None or answer.done():
            return
        if exc is None and self._head is not None and _length(self._head[1]) is None:
            answer.set_result(Response(self._head[0], self._head[1], bytes(self._buffer[self._head[2] :])))
        else:
            answer.set_exception(NoAnswer("connection lost"))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        answer = self._answer
        if answer is None or answer.done():
            self.close()  # an answer to nothing
            return
        try:
            response = self._read()
        except (ValueError, IndexError):
            self.close()
            answer.set_exception(NoAnswer("not HTTP"))
            return
        if response is not None:
            answer.set_result(response)

    def send(self, request: bytes) -> asyncio.Future[Response]:
        assert self._transport is not None
        self._buffer.clear()
        self._head = None
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._answer

    def close(self) -> None:
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    def _read(self) -> Response | None:
        while self._head is None:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                if len(self._buffer) > _MAX_HEAD:
                    raise ValueError("head too large")
                return None
            status, headers = _parse_head(bytes(self._buffer[:end]))
            if status < 200:
                del self._buffer[: end + 4]
                continue
            self._head = (status, headers, end + 4)
            if headers.get("connection", "").lower() == "close":
                self.reusable = False
        status, headers, start = self._head
        if len(self._buffer) - start > _MAX_BODY:
            raise ValueError("body too large")
        if status in (204, 304):
            return Response(status, headers, b"")
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = _dechunk(self._buffer, start)
            return None if body is None else Response(status, headers, body)
        length = _length(headers)
        if length is None or len(self._buffer) - start < length:
            return None
        return Response(status, headers, bytes(self._buffer[start : start + length]))


class HttpClient:
    """Sends requests over connections it keeps for a moment."""

    def __init__(self) -> None:
        self._idle: defaultdict[tuple[str, int, bool], list[_Connection]] = defaultdict(list)
        self._open: set[_Connection] = set()
        self._tls: ssl.SSLContext | None = None

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, *, connect_s: float, read_s: float
    ) -> Response:
        """Send one request.

        Args:
            connect_s, read_s: times to connect and to wait for the complete answer.

        Raises:
            NoConnection, NoAnswer: see there.
        """
        target = _target(url)
        connection = await self._connection(target, connect_s)
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        if method == "POST":
            lines += f"Content-Length: {len(body)}\r\n"
        self._open.add(connection)
        try:
            async with asyncio.timeout(read_s):
                response = await connection.send(f"{method} {target.head}{lines}\r\n".encode() + body)
        except TimeoutError as error:
            raise NoAnswer("read timeout") from error
        else:
            if connection.reusable:
                connection.idle_since = asyncio.get_running_loop().time()
                self._idle[target.host, target.port, target.secure].append(connection)
            return response
        finally:
            self._open.discard(connection)
            if not connection.idle_since or not connection.reusable:
                connection.close()

    def close(self) -> None:
        """Close all connections."""
        for connection in [*self._open, *(one for group in self._idle.values() for one in group)]:
            connection.close()
        self._idle.clear()

    async def _connection(self, target: _Target, connect_s: float) -> _Connection:
        loop = asyncio.get_running_loop()
        idle = self._idle[target.host, target.port, target.secure]
        while idle:
            connection = idle.pop()
            if connection.reusable and loop.time() - connection.idle_since < _KEEP_S:
                connection.idle_since = 0.0
                return connection
            connection.close()
        try:
            async with asyncio.timeout(connect_s):
                _, connection = await loop.create_connection(
                    _Connection, target.host, target.port, ssl=self._context() if target.secure else None
                )
        except (OSError, TimeoutError) as error:
            raise NoConnection(type(error).__name__) from error
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


def _parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    version, status, *_ = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError("not HTTP/1")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    if version == "HTTP/1.0":
        headers.setdefault("connection", "close")
    return int(status), headers


def _length(headers: Mapping[str, str]) -> int | None:
    """Length of the body; None where it ends with the connection or is chunked."""
    text = headers.get("content-length")
    return None if text is None else int(text)


def _dechunk(buffer: bytearray, start: int) -> bytes | None:
    """The body of a chunked answer, or None while it is not complete."""
    body, at = bytearray(), start
    while True:
        end = buffer.find(b"\r\n", at)
        if end < 0:
            return None
        size = int(bytes(buffer[at:end]).partition(b";")[0], 16)
        at = end + 2
        if size == 0:
            return bytes(body) if buffer.find(b"\r\n", at) >= 0 else None
        if len(buffer) < at + size + 2:
            return None
        body += buffer[at : at + size]
        at += size + 2
