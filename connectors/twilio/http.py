"""The HTTP side of the official SDK: one shared aiohttp session, no hidden retries, timeouts that hold.

The SDK's own async client ignores its timeout, retries POSTs on request and keeps no headers of an error. This one
sends every request once. A request that fails is `RequestNotSent` where it got no connection, so that Twilio cannot
have seen a byte, and `AnswerLost` in all other cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import lru_cache
from logging import getLogger
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client
from yarl import URL

from .account import Account


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Limits of the session.

    Attributes:
        total_timeout_s: from the call to the last byte of the answer. The lease that fences a zombie subtracts it.
        connect_timeout_s: for a free place in the pool, DNS, TCP and TLS together.
        max_connections: to all accounts; who waits longer than the connect timeout for one was not sent.
        keepalive_s: an idle connection is closed after this. Below what load balancers allow (60 s), so that requests
            seldom meet a connection which the other side is just closing: that would leave them in doubt.
        max_answer_bytes: a page of 1,000 messages has about 3 MB.
    """

    total_timeout_s: float = 10.0
    connect_timeout_s: float = 4.0
    max_connections: int = 512
    keepalive_s: float = 15.0
    max_answer_bytes: int = 16 * 1024 * 1024

    def __post_init__(self) -> None:
        if not 0 < self.connect_timeout_s < self.total_timeout_s:
            raise ValueError("the connect timeout must be shorter than the total timeout")


class RequestNotSent(Exception):
    """No byte of the request left: Twilio certainly knows nothing of it. The text says why."""


class RequestWithheld(RequestNotSent):
    """Not sent because the caller no longer wanted it when its turn to be written came."""


class AnswerLost(Exception):
    """The request may have been carried out, but no whole answer came. The text says why."""


Wanted = Callable[[], bool]
"""Asked right before the first byte of a request is written; False withholds it."""

_wanted: ContextVar[Wanted | None] = ContextVar("wanted", default=None)


@contextmanager
def while_wanted(wanted: Wanted | None) -> Iterator[None]:
    """Requests with a body that are made inside are withheld (RequestWithheld) unless they are still wanted when they
    are written. Between the call and the write lie a connection to be made, and, below Python 3.12, a turn of the
    event loop: time enough for a process to be paused, and to wake up as somebody who must not send any more."""
    before = _wanted.set(wanted)
    try:
        yield
    finally:
        _wanted.reset(before)


class TwilioSession:
    """One aiohttp session for all accounts of a process. Start it inside the running event loop."""

    def __init__(self, settings: HttpSettings | None = None) -> None:
        self.settings = settings or HttpSettings()
        self._session: aiohttp.ClientSession | None = None
        self._clients: dict[Account, Client] = {}

    async def start(self) -> None:
        """Open the session; connections are made when needed."""
        settings = self.settings
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=settings.max_connections, keepalive_timeout=settings.keepalive_s),
            timeout=aiohttp.ClientTimeout(
                total=settings.total_timeout_s,
                connect=settings.connect_timeout_s,
                ceil_threshold=_NEVER_ROUND_UP_S,
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
        )

    async def stop(self) -> None:
        """Close the session; requests still in flight fail with `AnswerLost`."""
        self._clients.clear()
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def __aenter__(self) -> TwilioSession:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    def client(self, account: Account) -> Client:
        """The SDK's client for an account, over this session.

        Raises:
            RuntimeError: the session is not started.
        """
        client = self._clients.get(account)
        if client is None:
            if self._session is None:
                raise RuntimeError("start the session first, inside the event loop")
            client = self._clients[account] = Client(
                account.api_user,
                account.api_password,
                account.sid,
                http_client=LeanHttpClient(self._session, account, self.settings),
            )
        return client


class LeanHttpClient(AsyncHttpClient):  # type: ignore[misc]  # the SDK has no types
    """The SDK's extension point for HTTP, for one account."""

    def __init__(self, session: aiohttp.ClientSession, account: Account, settings: HttpSettings) -> None:
        super().__init__(getLogger(__name__), is_async=True, timeout=settings.total_timeout_s)
        self._session = session
        self._max_answer_bytes = settings.max_answer_bytes
        self._authorization = aiohttp.encode_basic_auth(account.api_user, account.api_password)
        self._place = lru_cache(maxsize=256)(router(account.base_url))

    async def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,
        allow_redirects: bool = False,
    ) -> Response:
        """Send one request once.

        Args:
            method: HTTP method.
            url: as the SDK builds it; sent to the account's base URL.
            params: query parameters.
            data: form fields; lists are repeated.
            headers: of the SDK.
            auth: ignored: always the account's credentials.
            timeout: total seconds instead of the session's.
            allow_redirects: ignored: a redirected POST would be sent twice.

        Raises:
            RequestNotSent: certainly not processed.
            AnswerLost: anything else without a complete answer.
        """
        place = self._place(f"{url}?{urlencode(params, doseq=True)}" if params else url)
        form = _Body(urlencode(data, doseq=True).encode(), _wanted.get()) if data else None
        options: dict[str, Any] = {}
        if timeout is not None:
            options["timeout"] = aiohttp.ClientTimeout(total=timeout, ceil_threshold=_NEVER_ROUND_UP_S)
        try:
            async with self._session.request(
                method,
                place,
                data=form,
                headers={**(headers or {}), "Authorization": self._authorization, "Accept-Encoding": "identity"},
                allow_redirects=False,
                **options,
            ) as answer:
                body = await _read(answer, self._max_answer_bytes)
                return Response(answer.status, body.decode("utf-8", "replace"), answer.headers)
        except _NO_CONNECTION as error:
            raise RequestNotSent(_why(error)) from error
        except Exception as error:  # of any kind: a POST that is believed lost and was not is a second message
            if form is not None and form.withheld:
                raise RequestWithheld("no longer wanted when it was its turn") from error
            raise AnswerLost(_why(error)) from error


class _Body(aiohttp.BytesPayload):
    """A form that is written, together with the headers, only if it is wanted at that moment."""

    def __init__(self, form: bytes, wanted: Wanted | None) -> None:
        super().__init__(form, content_type="application/x-www-form-urlencoded")
        self._wanted = wanted
        self.withheld = False

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        """Called by aiohttp when the connection is there; nothing has been written yet."""
        if self._wanted is not None and not self._wanted():
            self.withheld = True
            raise RequestWithheld
        await super().write_with_length(writer, content_length)


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")[:_WHY_LENGTH]


_WHY_LENGTH = 200
"""An error may quote what the other side sent."""

_NEVER_ROUND_UP_S = 3600.0
"""aiohttp rounds timeouts above its threshold of 5 s up to a whole second of the loop's clock; ours are promises."""


_NO_CONNECTION = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL)
"""Raised by aiohttp only while it looks for a connection (DNS, TCP, TLS, a place in the pool). A total timeout in that
phase is not among them: it looks the same later, and the connect timeout comes first anyway."""


async def _read(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    body = bytearray()
    async for chunk in answer.content.iter_any():
        body += chunk
        if len(body) > limit:
            raise ValueError(f"the answer is larger than {limit} bytes")
    return bytes(body)


def router(base_url: str) -> Callable[[str], URL]:
    """Where a URL of the SDK is sent for an account with this base URL: to the same region and edge for all of
    Twilio's products, or everything to the one place that is not Twilio's own. Only the product and the path of the
    URL count, so that TWILIO_EDGE and TWILIO_REGION in the environment, which the SDK obeys, move nothing."""
    base = urlsplit(base_url)
    host = base.hostname or ""
    twilios_own = host.startswith("api.") and host.endswith(".twilio.com")
    region = host.removeprefix("api")  # ".twilio.com", ".dublin.ie1.twilio.com"

    def place(url: str) -> URL:
        asked = urlsplit(url)
        product = (asked.hostname or "").partition(".")[0]
        origin = f"{base.scheme}://{product}{region}" if twilios_own else base_url.rstrip("/")
        query = f"?{asked.query}" if asked.query else ""
        return URL(f"{origin}{asked.path}{query}", encoded=True)

    return place
