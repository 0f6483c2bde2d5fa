"""The HTTP side of the official SDK: one shared aiohttp session, no hidden retries, timeouts that hold.

The SDK's own async client ignores its timeout, retries POSTs on request and keeps no headers of an error. This one
sends every request once. A request that fails is `RequestNotSent` where it got no connection, so that Twilio cannot
have seen a byte, and `AnswerLost` in all other cases.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from logging import getLogger
from typing import Any
from urllib.parse import urlencode, urlsplit

import aiohttp
from twilio.http import AsyncHttpClient
from twilio.http.response import Response
from twilio.rest import Client
from yarl import URL

from .account import Account
from .exchange import AnswerLost, Exchange, RequestNotSent, RequestWithheld, Turn

__all__ = ["AnswerLost", "Form", "HttpSettings", "RequestNotSent", "RequestWithheld", "Turn", "TwilioSession"]


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


class TwilioSession:
    """One aiohttp session for all accounts of a process. Start it inside the running event loop."""

    def __init__(self, settings: HttpSettings | None = None) -> None:
        self.settings = settings or HttpSettings()
        self._session: aiohttp.ClientSession | None = None
        self._exchange: Exchange | None = None
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
        self._exchange = Exchange(self._session, max_answer_bytes=settings.max_answer_bytes)

    async def stop(self) -> None:
        """Close the session; requests still in flight fail with `AnswerLost`."""
        self._clients.clear()
        self._exchange = None
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
            if self._exchange is None:
                raise RuntimeError("start the session first, inside the event loop")
            client = self._clients[account] = SteadyClient(
                account.api_user,
                account.api_password,
                account.sid,
                http_client=LeanHttpClient(self._exchange, account),
            )
        return client


class Form:
    """Fields of a POST, encoded once. The SDK hands it on as it is, where it would copy a dict of them.

    Attributes:
        body: the fields as application/x-www-form-urlencoded.
        turn: decides when the request is written, and whether at all (RequestWithheld). Between the call and the write
            may lie a connection to be made: time enough for a process to be paused, to wake up as somebody who must not
            send any more, and for requests that were called for one after the other to come at once.
    """

    __slots__ = ("body", "turn")

    def __init__(self, fields: Sequence[tuple[str, str]], turn: Turn | None = None) -> None:
        self.body = URL().with_query(fields).raw_query_string.encode()
        self.turn = turn


class SteadyClient(Client):  # type: ignore[misc]  # the SDK has no types
    """The SDK's client. What it says of itself in headers is put together once, not for each request."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._usual_headers: dict[str, dict[str, str]] = {}

    def get_headers(self, method: str, headers: dict[str, str] | None) -> dict[str, str]:
        """Called by the SDK, which may change what it is given."""
        if headers:
            return super().get_headers(method, headers)  # type: ignore[no-any-return]  # the SDK has no types
        usual = self._usual_headers.get(method)
        if usual is None:
            usual = self._usual_headers[method] = super().get_headers(method, None)
        return dict(usual)


class LeanHttpClient(AsyncHttpClient):  # type: ignore[misc]  # the SDK has no types
    """The SDK's extension point for HTTP, for one account."""

    def __init__(self, exchange: Exchange, account: Account) -> None:
        super().__init__(getLogger(__name__), is_async=True)
        self._exchange = exchange
        self._own_headers = {
            "Authorization": aiohttp.encode_basic_auth(account.api_user, account.api_password),
            "Accept-Encoding": "identity",
        }
        self._place = lru_cache(maxsize=256)(router(account.base_url))

    async def request(
        self,
        method: str,
        url: str,
        params: Mapping[str, object] | None = None,
        data: Form | Mapping[str, object] | None = None,
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
        form = data if data is None or isinstance(data, Form) else Form(_fields(data))
        body, turn = (form.body, form.turn) if form is not None else (None, None)
        all_headers = tuple({**(headers or {}), **self._own_headers}.items())
        answered = await self._exchange.send(method, place, all_headers, body, turn, timeout)
        return Response(answered.status, answered.body.decode("utf-8", "replace"), answered.headers)


def _fields(data: Mapping[str, object]) -> list[tuple[str, str]]:
    fields: list[tuple[str, str]] = []
    for name, value in data.items():
        fields += [(name, str(each)) for each in (value if isinstance(value, list | tuple) else (value,))]
    return fields


_NEVER_ROUND_UP_S = 3600.0
"""aiohttp rounds timeouts above its threshold of 5 s up to a whole second of the loop's clock; ours are promises."""


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
