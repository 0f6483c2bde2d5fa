"""One request and its answer, over a pooled connection of an aiohttp session.

aiohttp's own way from `session.request` to the connection makes a dozen objects per request, for redirects, cookies,
traces, retries and uploads that nothing here uses, and below Python 3.12 writes in another task: together as much time
as the whole rest of a message. Here the session's connector gives the connection and its protocol reads the answer;
the request between the two is written at once. What is used of aiohttp beyond its documentation is listed in
tests/connectors/twilio/test_exchange.py.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import aiohttp
from aiohttp.connector import Connection
from yarl import URL

from .deadlines import Deadlines

Turn = Callable[[], float | None]
"""Asked right before the first byte of a request is written: 0 lets it be written in the same step; more are the
seconds after which to ask again, the connection kept; None withholds the request."""


Headers = tuple[tuple[str, str], ...]
"""Names and values, in their order."""


class RequestNotSent(Exception):
    """No byte of the request left: Twilio certainly knows nothing of it. The text says why."""


class RequestWithheld(RequestNotSent):
    """Not sent because the caller no longer wanted it when its turn to be written came."""


class AnswerLost(Exception):
    """The request may have been carried out, but no whole answer came. The text says why."""


@dataclass(frozen=True, slots=True)
class _Target:
    """Where a request goes, and its first bytes.

    Attributes:
        request: what the connector needs to know to find or make a connection.
        head: request line and headers, without the one that tells the length of the body.
    """

    request: aiohttp.ClientRequest
    head: bytes


@dataclass(frozen=True, slots=True)
class Answered:
    """A whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Exchange:
    """Requests over one session, each sent once. Made inside the running loop.

    Args:
        session: whose connections are used.
        max_answer_bytes: a longer answer is lost.
    """

    def __init__(self, session: aiohttp.ClientSession, *, max_answer_bytes: int) -> None:
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._max_answer_bytes = max_answer_bytes
        self._timeout = session.timeout
        assert session.timeout.total is not None, "every request must end"
        self._deadlines = Deadlines(session.timeout.total)
        # The same requests come again and again: to each account's messages, and rarely to anything else.
        self._target = lru_cache(maxsize=256)(self._make_target)

    async def send(
        self,
        method: str,
        url: URL,
        headers: Headers,
        body: bytes | None,
        turn: Turn | None = None,
        timeout_s: float | None = None,
    ) -> Answered:
        """Send one request.

        Args:
            headers: those that HTTP demands are added.
            body: None where there is none.
            turn: asked when the connection is there.
            timeout_s: instead of the session's.

        Raises:
            RequestNotSent: certainly not processed.
            AnswerLost: anything else without a complete answer.
        """
        deadlines = self._deadlines if timeout_s is None else Deadlines(timeout_s)
        connection: Connection | None = None
        begun = False
        try:
            target = self._target(method, url, headers)
            with deadlines.limit():
                connection = await self._connection(target)
                while turn is not None and (wait_s := turn()) != 0:
                    if wait_s is None:
                        connection.release()
                        raise RequestWithheld("no longer wanted when it was its turn")
                    await asyncio.sleep(wait_s)
                begun = True
                answered = await self._exchange(connection, _whole(target.head, body))
            connection.release()
            return answered
        except RequestNotSent:
            raise
        except Exception as error:  # of any kind: a POST that is believed lost and was not is a second message
            # From a connection that was used bytes may have been read, however soon it was closed.
            raise (AnswerLost if begun else RequestNotSent)(_why(error)) from error
        finally:
            if connection is not None:
                connection.close()  # without effect where it was released

    async def _connection(self, target: _Target) -> Connection:
        connector = self._session.connector
        if connector is None:
            raise RequestNotSent("the session is closed")
        return await connector.connect(target.request, traces=[], timeout=self._timeout)

    async def _exchange(self, connection: Connection, request: bytes) -> Answered:
        protocol, transport = connection.protocol, connection.transport
        # Closed meanwhile, or holding bytes that nobody asked for: they would be taken for this request's answer.
        if protocol is None or transport is None or transport.is_closing() or protocol.should_close:
            raise aiohttp.ClientConnectionResetError("the connection was closed before its use")
        protocol.set_response_params(read_until_eof=True, auto_decompress=False)
        transport.write(request)
        message, content = await protocol.read()
        while message.code < 200:
            message, content = await protocol.read()
        body = content.read_nowait() if content.is_eof() else await _read(content, self._max_answer_bytes)
        return Answered(message.code, message.headers, body)

    def _make_target(self, method: str, url: URL, headers: Headers) -> _Target:
        request = aiohttp.ClientRequest(method, url, headers=headers, loop=self._loop, session=self._session)
        request.headers.popall("Content-Length", None)
        lines = [f"{method} {url.raw_path_qs} HTTP/1.1", *(f"{name}: {text}" for name, text in request.headers.items())]
        if any(map(_CONTROL.search, lines)):
            raise ValueError("a control character in the head of a request")
        return _Target(request, "\r\n".join(lines).encode())


def _whole(head: bytes, body: bytes | None) -> bytes:
    if body is None:
        return head + b"\r\n\r\n"
    return b"%b\r\nContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


async def _read(content: aiohttp.StreamReader, limit: int) -> bytes:
    body = bytearray()
    async for chunk in content.iter_any():
        body += chunk
        if len(body) > limit:
            raise ValueError(f"the answer is larger than {limit} bytes")
    return bytes(body)


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")[:_WHY_LENGTH]


_WHY_LENGTH = 200
"""An error may quote what the other side sent."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
