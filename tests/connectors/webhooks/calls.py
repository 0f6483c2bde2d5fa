"""Twilio's side of the bridge's tests: signed requests in Twilio's field order, and a publisher one can hold back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from aiohttp.test_utils import TestClient, TestServer
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from connectors.health import Health, HealthBoard
from connectors.kafka.publisher import Position, PublishRejected
from connectors.twilio.account import Account
from connectors.webhooks.bridge import create_bridge
from connectors.webhooks.settings import BridgeSettings
from schemas.codec import Codec, SingleObjectCodec
from schemas.records import Record

PUBLIC_URL = "https://bridge.example.com"
TOKEN = "primary token"
ACCOUNT_SID = "AC" + "0" * 32
OTHER_SID = "AC" + "9" * 32
SERVICE_SID = "MG" + "a" * 32
SID = "SM" + "1" * 32
NOW_MS = 1_795_435_200_000
CODEC = SingleObjectCodec()
STATUS = "/twilio/status?m=3f0c7b1e-1111-5222-8333-444455556666&r=2&a=3"
INBOUND = "/twilio/inbound"
ACCOUNTS = (
    Account("main", ACCOUNT_SID, ACCOUNT_SID, TOKEN, signing_tokens=(TOKEN, "secondary token")),
    Account("sub", OTHER_SID, OTHER_SID, "other", signing_tokens=("token of sub",)),
)


class HeldPublisher:
    """Acknowledges at once, when told to, or never, and keeps the order of everything that happened."""

    def __init__(self, *, hold: bool = False) -> None:
        self.hold = hold
        self.events: list[str] = []
        self.published: list[tuple[str, Record, str]] = []
        self.waiting: list[tuple[str, asyncio.Future[Position]]] = []
        self.away = Health(True)
        self.refuse = False

    def publish(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> asyncio.Future[Position]:
        assert value is not None
        assert key is not None
        assert partition is None
        future: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        self.events.append(f"published {topic}")
        self.published.append((topic, CODEC.decode(value), key.decode()))
        self.waiting.append((topic, future))
        if self.refuse:
            self.waiting.clear()
            future.set_exception(PublishRejected(topic, "no such topic"))
        elif not self.hold:
            self.acknowledge()
        return future

    def acknowledge(self) -> None:
        for topic, future in self.waiting:
            self.events.append(f"acknowledged {topic}")
            future.set_result(Position(topic, 0, 0))
        self.waiting.clear()

    def health(self) -> Health:
        return self.away

    def records(self, topic: str) -> list[Record]:
        return [record for name, record, _ in self.published if name == topic]


class Bridge:
    """A bridge on a free port, and Twilio calling it."""

    def __init__(self, client: TestClient[Any, Any], publisher: HeldPublisher, board: HealthBoard) -> None:
        self.client = client
        self.publisher = publisher
        self.board = board

    async def call(
        self,
        target: str,
        form: Sequence[tuple[str, str]],
        *,
        token: str = TOKEN,
        headers: dict[str, str] | None = None,
        signature: str | None = None,
    ) -> int:
        """POST a form as Twilio would; the status of the answer."""
        status, _, _ = await self.answer(target, form, token=token, headers=headers, signature=signature)
        return status

    async def answer(
        self,
        target: str,
        form: Sequence[tuple[str, str]],
        *,
        token: str = TOKEN,
        headers: dict[str, str] | None = None,
        signature: str | None = None,
    ) -> tuple[int, dict[str, str], str]:
        signed = RequestValidator(token).compute_signature(PUBLIC_URL + target, MultiDict(form))
        sent = {"X-Twilio-Signature": signed if signature is None else signature}
        sent["Content-Type"] = "application/x-www-form-urlencoded; charset=utf-8"
        sent |= headers or {}
        async with self.client.post(target, data=urlencode(form).encode(), headers=sent) as response:
            return response.status, dict(response.headers), await response.text()


@asynccontextmanager
async def bridge(
    publisher: HeldPublisher | None = None, *, codec: Codec = CODEC, **settings: Any
) -> AsyncIterator[Bridge]:
    publisher = publisher or HeldPublisher()
    board = HealthBoard()
    configured = BridgeSettings(**({"public_url": PUBLIC_URL, "accounts": ACCOUNTS} | settings))
    app = create_bridge(configured, publisher, codec, board, lambda: NOW_MS)
    async with TestClient(TestServer(app)) as client:
        yield Bridge(client, publisher, board)


def status_form(**changes: str | None) -> list[tuple[str, str]]:
    """A status callback as Twilio orders it; None leaves a field out."""
    fields: dict[str, str | None] = {
        "SmsSid": SID,
        "SmsStatus": "delivered",
        "MessageStatus": "delivered",
        "To": "+14155550123",
        "MessageSid": SID,
        "AccountSid": ACCOUNT_SID,
        "From": "+14155550100",
        "ApiVersion": "2010-04-01",
    }
    return [(name, value) for name, value in (fields | changes).items() if value is not None]


def inbound_form(**changes: str | None) -> list[tuple[str, str]]:
    """An inbound SMS as Twilio orders it, with its blank fields; None leaves a field out."""
    fields: dict[str, str | None] = {
        "ToCountry": "US",
        "ToState": "CA",
        "SmsMessageSid": SID,
        "NumMedia": "0",
        "ToCity": "",
        "FromZip": "",
        "SmsSid": SID,
        "FromState": "NY",
        "SmsStatus": "received",
        "FromCity": "",
        "Body": "Thanks, see you",
        "FromCountry": "US",
        "To": "+14155550100",
        "ToZip": "",
        "NumSegments": "1",
        "MessageSid": SID,
        "AccountSid": ACCOUNT_SID,
        "From": "+14155550123",
        "ApiVersion": "2010-04-01",
    }
    return [(name, value) for name, value in (fields | changes).items() if value is not None]
