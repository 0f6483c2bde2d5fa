from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from multidict import MultiDict
from twilio.request_validator import RequestValidator

from connectors.health import HealthBoard
from connectors.kafka.partitioning import partition_of
from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.settings import KafkaSettings
from connectors.webhooks import bridge as bridge_module
from connectors.webhooks.bridge import create_bridge
from connectors.webhooks.server import BridgeServer, run_bridge
from connectors.webhooks.settings import BridgeSettings
from schemas.codec import RegistryCodec
from schemas.errors import SchemaNotRegistered
from schemas.records import Callback, Consent, ConsentChange, Inbound, KeywordIntent
from tests.connectors.webhooks.calls import (
    ACCOUNTS,
    CODEC,
    INBOUND,
    NOW_MS,
    PUBLIC_URL,
    SID,
    STATUS,
    TOKEN,
    HeldPublisher,
    inbound_form,
    status_form,
)
from tests.support.kafka import Kafka
from tests.support.waiting import until

Form = list[tuple[str, str]]


async def post(address: tuple[str, int], target: str, form: Form, *, token: str = TOKEN) -> int:
    """A signed webhook on a connection of its own."""
    signature = RequestValidator(token).compute_signature(PUBLIC_URL + target, MultiDict(form))
    headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
    host, port = address
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://{host}:{port}{target}", data=urlencode(form).encode(), headers=headers) as response,
    ):
        return response.status


def settings(**changes: Any) -> BridgeSettings:
    usual: dict[str, Any] = {"public_url": PUBLIC_URL, "accounts": ACCOUNTS, "port": 0}
    return BridgeSettings(**(usual | changes))


async def test_a_stopping_bridge_accepts_nothing_new_and_finishes_what_is_in_flight() -> None:
    publisher, board, configured = HeldPublisher(hold=True), HealthBoard(), settings(answer_within_s=60.0)
    server = BridgeServer(create_bridge(configured, publisher, CODEC, board, lambda: NOW_MS), configured, board)
    address = await server.start()
    call = asyncio.create_task(post(address, STATUS, status_form()))
    await until(lambda: publisher.waiting)

    stopping = asyncio.create_task(server.stop())
    await until(lambda: not board.ready()[0])
    await until(lambda: _refuses(address))
    assert not stopping.done()
    publisher.acknowledge()

    assert await call == 204
    await stopping


async def test_a_stopping_bridge_does_not_wait_for_ever() -> None:
    publisher, board = HeldPublisher(hold=True), HealthBoard()
    configured = settings(answer_within_s=600.0, drain_s=0.3)
    server = BridgeServer(create_bridge(configured, publisher, CODEC, board, lambda: NOW_MS), configured, board)
    address = await server.start()
    call = asyncio.create_task(post(address, STATUS, status_form()))
    await until(lambda: publisher.waiting)

    async with asyncio.timeout(60):
        await server.stop()

    with pytest.raises(aiohttp.ClientError):
        await call


async def test_an_address_in_use_is_told_at_start() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        configured, board = settings(port=taken.getsockname()[1]), HealthBoard()
        app = create_bridge(configured, HeldPublisher(), CODEC, board, lambda: NOW_MS)
        server = BridgeServer(app, configured, board)

        with pytest.raises(OSError, match="in use"):
            await server.start()
        await server.stop()


def _refuses(address: tuple[str, int]) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(address) != 0


class Running:
    """`run_bridge` in this loop, with a publisher to a real or absent Kafka."""

    def __init__(self, bootstrap: str, **changes: Any) -> None:
        self.publisher = DurablePublisher(KafkaSettings(bootstrap=(bootstrap,)), name="bridge-test")
        self.board = HealthBoard()
        self.stop = asyncio.Event()
        self._settings = settings(**changes)
        self._address: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()

    def start(self, *, prepare: Callable[[], Awaitable[None]] | None = None, codec: Any = CODEC) -> asyncio.Task[None]:
        return asyncio.create_task(
            run_bridge(
                self._settings,
                self.publisher,
                codec,
                self.board,
                lambda: NOW_MS,
                prepare=prepare,
                stop=self.stop,
                on_listening=lambda host, port: self._address.set_result((host, port)),
            )
        )

    async def address(self) -> tuple[str, int]:
        return await self._address


@pytest.fixture
def topics(kafka: Kafka, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The bridge's three topics under names of this test's own."""
    names = {name: kafka.unique(name.lower()) for name in ("LIFECYCLE", "INBOUND", "CONSENT")}
    kafka.create_topics(dict.fromkeys(names.values(), 4))
    for name, topic in names.items():
        monkeypatch.setattr(bridge_module, name, topic)
    return names


async def test_webhooks_become_records_in_kafka_under_their_keys(kafka: Kafka, topics: dict[str, str]) -> None:
    running = Running(kafka.bootstrap, answer_within_s=60.0)
    task = running.start()
    address = await running.address()

    assert await post(address, STATUS, status_form()) == 204
    assert await post(address, INBOUND, inbound_form(Body="Stop")) == 200
    assert await post(address, INBOUND, inbound_form(Body="hi", MessageSid="SM" + "2" * 32)) == 200
    assert await post(address, INBOUND, inbound_form(Body="STOP", From="")) == 400
    await until(lambda: running.board.ready()[0])
    running.stop.set()
    await task

    [status] = await asyncio.to_thread(kafka.consume_all, topics["LIFECYCLE"])
    callback = CODEC.decode(status.value or b"")
    assert isinstance(callback, Callback)
    assert (callback.sid, callback.status) == (SID, "delivered")
    assert status.key == callback.message_id.encode()
    assert status.partition == partition_of(status.key, 4)

    [stored] = await asyncio.to_thread(kafka.consume_all, topics["CONSENT"])
    consent = CODEC.decode(stored.value or b"")
    assert isinstance(consent, Consent)
    assert (consent.change, consent.evidence, stored.key) == (ConsentChange.OPT_OUT, SID, b"+14155550123")

    messages = [
        CODEC.decode(each.value or b"") for each in await asyncio.to_thread(kafka.consume_all, topics["INBOUND"])
    ]
    intents = [message.keyword_intent for message in messages if isinstance(message, Inbound)]
    assert intents == [KeywordIntent.STOP, None]


async def test_while_kafka_is_away_webhooks_get_503_and_health_says_so() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # bound and not listening: nobody else can take the port
        running = Running(f"127.0.0.1:{nobody.getsockname()[1]}", answer_within_s=0.3)
        task = running.start()
        address = await running.address()

        assert await post(address, STATUS, status_form()) == 503
        assert await post(address, STATUS, status_form(), token="guess") == 403
        ready, parts = running.board.ready()
        assert not ready
        assert "Kafka" in parts["kafka"].detail
        running.stop.set()
        async with asyncio.timeout(60):
            await task


async def test_it_serves_health_and_503_until_the_codec_is_prepared(kafka: Kafka, topics: dict[str, str]) -> None:
    class Registry:
        """Knows every schema, once it may answer."""

        def id_of(self, schema: Any) -> int:
            return 7

    registry_back, prepared = asyncio.Event(), asyncio.Event()
    codec = RegistryCodec(Registry())  # type: ignore[arg-type]  # all that prepare() asks of a registry

    async def prepare() -> None:
        await registry_back.wait()
        codec.prepare()
        prepared.set()

    running = Running(kafka.bootstrap, answer_within_s=60.0)
    task = running.start(prepare=prepare, codec=codec)
    address = await running.address()

    assert await post(address, STATUS, status_form()) == 503
    registry_back.set()
    await prepared.wait()
    assert await post(address, STATUS, status_form()) == 204
    running.stop.set()
    await task
    [stored] = await asyncio.to_thread(kafka.consume_all, topics["LIFECYCLE"])
    assert (stored.value or b"")[:5] == b"\x00\x00\x00\x00\x07"


async def test_when_preparing_fails_for_good_the_bridge_ends_with_that_error(kafka: Kafka) -> None:
    async def prepare() -> None:
        raise SchemaNotRegistered("commlayer.Callback")

    running = Running(kafka.bootstrap)

    async with asyncio.timeout(60):
        with pytest.raises(SchemaNotRegistered):
            await running.start(prepare=prepare)


async def test_sigterm_ends_it_in_good_order(kafka: Kafka) -> None:
    running = Running(kafka.bootstrap)
    task = running.start()
    address = await running.address()

    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(60):
        await task

    assert _refuses(address)
    assert not running.publisher.health().ok
