"""What the twin's tests share: a configured twin, a plain HTTP client for it, and a receiver of webhooks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
from aiohttp import web

from twin.server import Twin
from twin.settings import (
    AccountSettings,
    ContentSettings,
    Outcome,
    OutcomeSettings,
    SenderSettings,
    ServiceSettings,
    TwinSettings,
)

ACCOUNT = "AC" + "a" * 32
OTHER = "AC" + "b" * 32
CHILD = "AC" + "c" * 32
TEST = "AC" + "d" * 32
TOKEN, OTHER_TOKEN, CHILD_TOKEN, TEST_TOKEN = "primary", "other-token", "child-token", "test-token"
KEY, SECRET = "SK" + "1" * 32, "key-secret"

LONG, SECOND, TOLL_FREE, SHORT = "+15557122661", "+15557122662", "+18885550100", "55103"
ALPHA, WHATSAPP, NO_MMS, FOREIGN = "ACME", "whatsapp:+15557122669", "+15557122663", "+15557122664"
SERVICE, EMPTY_SERVICE, OTHER_SERVICE = "MG" + "1" * 32, "MG" + "2" * 32, "MG" + "3" * 32
CONTENT = "HX" + "1" * 32

START = 1795435200.0  # Mon, 23 Nov 2026 12:00:00 GMT
PERSON = "+15558675310"
AT_ONCE = Outcome(sent_after_s=(0.0, 0.0), final_after_s=(0.0, 0.0))


def settings(**changes: Any) -> TwinSettings:
    """A twin on a virtual clock whose messages are delivered the moment they leave the queue."""
    inbound_url = changes.pop("inbound_url", None)
    given: dict[str, Any] = {
        "clock": "virtual",
        "start": START,
        "accounts": (
            AccountSettings(sid=ACCOUNT, auth_token=TOKEN, secondary_auth_token="secondary", api_keys={KEY: SECRET}),
            AccountSettings(sid=OTHER, auth_token=OTHER_TOKEN),
            AccountSettings(sid=CHILD, auth_token=CHILD_TOKEN, parent=ACCOUNT),
            AccountSettings(sid=TEST, auth_token=TEST_TOKEN, test=True),
        ),
        "senders": (
            SenderSettings(address=LONG, rate=10, inbound_url=inbound_url),
            SenderSettings(address=SECOND, rate=1),
            SenderSettings(address=TOLL_FREE, rate=3, inbound_url=inbound_url),
            SenderSettings(address=SHORT, rate=100, country="US", inbound_url=inbound_url),
            SenderSettings(address=ALPHA),
            SenderSettings(address=WHATSAPP, inbound_url=inbound_url),
            SenderSettings(address=NO_MMS, mms=False),
            SenderSettings(address=FOREIGN, account=OTHER),
        ),
        "services": (
            ServiceSettings(sid=SERVICE, senders=(LONG, SECOND)),
            ServiceSettings(sid=EMPTY_SERVICE),
            ServiceSettings(sid=OTHER_SERVICE, account=OTHER, senders=(FOREIGN,)),
        ),
        "contents": (ContentSettings(sid=CONTENT, body="Hi {{1}}, your code is {{2}}."),),
        "outcomes": OutcomeSettings(default=AT_ONCE),
    }
    return TwinSettings(**(given | changes))


@dataclass(frozen=True)
class Reply:
    """An answer of the twin."""

    status: int
    headers: dict[str, str]
    body: bytes
    json: Any


class Caller:
    """A plain client with the account's credentials."""

    def __init__(self, twin: Twin, user: str = ACCOUNT, password: str = TOKEN) -> None:
        self._twin = twin
        self._headers = {"Authorization": aiohttp.encode_basic_auth(user, password)}

    async def request(self, method: str, path: str, *, auth: bool = True, **options: Any) -> Reply:
        async with (
            aiohttp.ClientSession(headers=self._headers if auth else None) as session,
            session.request(method, self._twin.url + path, **options) as response,
        ):
            body = await response.read()
            kind = response.headers.get("Content-Type", "")
            parsed = await response.json() if body and kind.startswith("application/json") else None
            return Reply(response.status, dict(response.headers), body, parsed)

    async def create(self, account: str = ACCOUNT, **fields: str | Sequence[str]) -> Reply:
        """Create a message; From, To and Body have defaults, a field given as "-" is left out."""
        form: dict[str, str | Sequence[str]] = {"To": PERSON, "Body": "Hi"}
        if "MessagingServiceSid" not in fields:
            form["From"] = LONG
        pairs = [
            (name, value)
            for name, given in (form | fields).items()
            if given != "-"
            for value in ([given] if isinstance(given, str) else given)
        ]
        path = f"/2010-04-01/Accounts/{account}/Messages.json"
        return await self.request("POST", path, data=_form(pairs))

    async def get(self, path: str, account: str = ACCOUNT) -> Reply:
        """Fetch below the account, e.g. `/Messages.json`."""
        return await self.request("GET", f"/2010-04-01/Accounts/{account}{path}")


def _form(pairs: list[tuple[str, str]]) -> aiohttp.FormData:
    form = aiohttp.FormData()
    for name, value in pairs:
        form.add_field(name, value)
    return form


@dataclass
class Call:
    """A webhook as received."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes

    @property
    def pairs(self) -> list[tuple[str, str]]:
        return parse_qsl(self.body.decode(), keep_blank_values=True)

    @property
    def fields(self) -> dict[str, str]:
        return dict(self.pairs)


@dataclass
class Hook:
    """A receiver of webhooks. `answers` are given in turn, then 204; "reset" tears the connection, "hang" waits."""

    answers: list[Any] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    port: int = 0
    at_once: int = 0
    most_at_once: int = 0
    _runner: web.AppRunner | None = None
    _released: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Hook:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._released.set()
        assert self._runner is not None
        await self._runner.cleanup()

    def url(self, path: str = "/twilio/status") -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def statuses(self) -> list[str]:
        return [call.fields["MessageStatus"] for call in self.calls]

    async def _take(self, request: web.Request) -> web.StreamResponse:
        url = f"http://{request.host}{request.raw_path}"
        self.calls.append(Call(request.method, url, dict(request.headers), await request.read()))
        answer = self.answers.pop(0) if self.answers else 204
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        if answer == "hang":
            await self._released.wait()
        await asyncio.sleep(0)
        self.at_once -= 1
        if answer in ("reset", "hang"):
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if isinstance(answer, int):
            return web.Response(status=answer)
        assert isinstance(answer, web.Response)
        return answer


def twiml(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/xml")
