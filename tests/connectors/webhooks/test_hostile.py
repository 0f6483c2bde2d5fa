"""What strangers may send: it gets 4xx, or the connection is closed, but never 5xx; and no record comes of it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import MultiDict
from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from twilio.request_validator import RequestValidator

from connectors.health import HealthBoard
from connectors.webhooks.bridge import create_bridge
from connectors.webhooks.form import Malformed
from connectors.webhooks.inbound import consents_of, read_inbound
from connectors.webhooks.server import BridgeServer
from connectors.webhooks.settings import BridgeSettings
from connectors.webhooks.status import read_status
from tests.connectors.webhooks.calls import (
    ACCOUNT_SID,
    ACCOUNTS,
    CODEC,
    NOW_MS,
    PUBLIC_URL,
    STATUS,
    TOKEN,
    HeldPublisher,
    inbound_form,
    status_form,
)
from tests.support.waiting import until

SEED = 20261123


@asynccontextmanager
async def listening(publisher: HeldPublisher, **settings: Any) -> AsyncIterator[tuple[str, int]]:
    configured = BridgeSettings(public_url=PUBLIC_URL, accounts=ACCOUNTS, port=0, **settings)
    board = HealthBoard()
    server = BridgeServer(create_bridge(configured, publisher, CODEC, board, lambda: NOW_MS), configured, board)
    address = await server.start()
    try:
        yield address
    finally:
        await server.stop()


async def exchange(address: tuple[str, int], request: bytes) -> bytes:
    """Send raw bytes on a connection of its own; everything that came back until it was closed."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(request)
        async with asyncio.timeout(30):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def status_of(answer: bytes) -> int | None:
    answer = answer.removeprefix(b"HTTP/1.1 100 Continue\r\n\r\n")
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else None


def raw(target: str, body: bytes, *headers: str, method: str = "POST", length: int | None = None) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: x", "Connection: close", *headers]
    if not any(header.lower().startswith(("content-length", "transfer-encoding")) for header in headers):
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1", "replace") + body


def in_flight() -> float:
    return REGISTRY.get_sample_value("commlayer_bridge_requests_in_flight") or 0


def refused(why: str) -> float:
    labels = {"webhook": "status", "outcome": why}
    return REGISTRY.get_sample_value("commlayer_bridge_webhooks_total", labels) or 0


FORM_TYPE = "Content-Type: application/x-www-form-urlencoded"


def rubbish(chance: random.Random) -> bytes:
    """One hostile request: rubbish in one or several places of an otherwise plausible one."""

    def bytes_of(most: int) -> bytes:
        return chance.randbytes(chance.randrange(most))

    def text_of(most: int) -> str:
        alphabet = "abcAZ09%&=+'\"<>;/\\#?:@[]{}|^~` \t\x7f\x80\xff%00%ff%C3%28"
        return "".join(chance.choice(alphabet) for _ in range(chance.randrange(most)))

    method = chance.choice(["POST"] * 8 + ["GET", "PATCH", text_of(8) or "X"])
    target = chance.choice(["/twilio/status", "/twilio/inbound"])
    target += chance.choice(
        ["", "?m=1", f"?{text_of(40)}", "?bodySHA256=x", "?m=" + "9" * 3000, "#x", f"/{text_of(9)}"]
    )
    target = chance.choice([target] * 6 + [f"http://evil.example{target}", f"//{target}", text_of(30) or "*"])
    body = chance.choice(
        [
            bytes_of(300),
            urlencode(status_form()).encode(),
            urlencode(inbound_form()).encode() + b"&" + bytes_of(40),
            b"&".join(b"a%d=%s" % (number, bytes_of(5)) for number in range(chance.choice([3, 299, 400]))),
            b"AccountSid=" + ACCOUNT_SID.encode() + b"&MessageSid=%ED%A0%80&x=\xed\xa0\x80",
            b"%" * chance.randrange(200),
            b"",
        ]
    )
    headers = [
        chance.choice([FORM_TYPE] * 6 + [f"Content-Type: {text_of(30)}", "Content-Type: application/json", "X: y"]),
        chance.choice(
            ["X-Twilio-Signature: AAAA", f"X-Twilio-Signature: {text_of(40)}", "X-Twilio-Signature: é", "A: b"]
        ),
    ]
    headers += chance.sample(
        [
            f"X-Twilio-Webhooks-Signature-Settings: {text_of(30)}",
            "X-Twilio-Webhooks-Signature-Settings: key=k,algorithm=HMAC_SHA512",
            "Content-Encoding: gzip",
            "Expect: 100-continue",
            "Content-Length: 99999999999999999999",
            "Content-Length: -1",
            "Transfer-Encoding: chunked",
            "Cookie: " + text_of(50),
            f"{text_of(6)}: {text_of(6)}",
            "I-Twilio-Idempotency-Token: " + "t" * 3000,
        ],
        k=chance.choice([0, 0, 1, 2]),
    )
    return raw(target, body, *headers, method=method)


async def test_rubbish_of_any_kind_is_refused_and_never_an_error_of_ours(caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(SEED)  # a test's rubbish needs no secrecy
    publisher = HeldPublisher()
    statuses: dict[int | None, int] = {}
    async with listening(publisher, read_within_s=0.3) as address:
        for _ in range(600):
            request = rubbish(chance)
            status = status_of(await exchange(address, request))
            statuses[status] = statuses.get(status, 0) + 1
            assert status is None or 400 <= status < 500, request

        assert {400, 403, 404, 405, 415} <= statuses.keys(), statuses
        assert publisher.published == []
        # Our own lines say who listens and that senders broke off, and are seen where a test before raised the level.
        others = [record for record in caplog.records if not record.name.startswith("connectors.webhooks")]
        assert not others, "what strangers send is not quoted in our log"
        genuine = urlencode(status_form()).encode()
        signature = RequestValidator(TOKEN).compute_signature(PUBLIC_URL + STATUS, MultiDict(status_form()))
        answer = await exchange(address, raw(STATUS, genuine, FORM_TYPE, f"X-Twilio-Signature: {signature}"))
        assert status_of(answer) == 204, "the bridge still works"


async def test_a_body_that_drips_in_gets_408() -> None:
    async with listening(HeldPublisher(), read_within_s=0.2) as address:
        answer = await exchange(address, raw(STATUS, b"a=", FORM_TYPE, length=1000))

    assert status_of(answer) == 408


async def test_who_sends_slowly_cannot_take_more_than_the_places_there_are() -> None:
    async with listening(HeldPublisher(), max_in_flight=1) as address:
        _, writer = await asyncio.open_connection(*address)
        writer.write(raw(STATUS, b"a=", FORM_TYPE, length=1000))
        await until(lambda: in_flight() == 1)
        answer = await exchange(address, raw(STATUS, b"a=b", FORM_TYPE))
        writer.close()

    assert status_of(answer) == 503
    assert b"Retry-After: 1" in answer


async def test_a_body_that_breaks_off_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    publisher, before = HeldPublisher(), refused("broke_off")
    with capture_logs() as lines:
        async with listening(publisher, max_in_flight=1) as address:
            for _ in range(5):
                _, writer = await asyncio.open_connection(*address)
                writer.write(raw(STATUS, b"a=", FORM_TYPE, length=1000))
                await until(lambda: in_flight() == 1)
                writer.close()
                await until(lambda: in_flight() == 0)
            answer = await exchange(address, raw(STATUS, b"a=b", FORM_TYPE))

    assert status_of(answer) == 403, "no place is taken for good"
    assert refused("broke_off") == before + 5
    assert publisher.published == []
    assert not [line for line in lines if line["log_level"] == "error"]
    assert not caplog.records


@pytest.mark.parametrize("declared", [b"zz\r\n", b"5\r\nabc\r\n0\r\n\r\n", b"FFFFFFFFFFFFFFFFFF\r\n"])
async def test_broken_chunks_are_refused(declared: bytes) -> None:
    async with listening(HeldPublisher()) as address:
        answer = await exchange(address, raw(STATUS, declared, FORM_TYPE, "Transfer-Encoding: chunked"))

    assert status_of(answer) in (None, 400)


NAMES = st.sampled_from(
    [name for name, _ in [*status_form(), *inbound_form()]] + ["ErrorCode", "Latitude", "MediaUrl0"]
)
PAIRS = st.lists(st.tuples(st.one_of(NAMES, st.text(max_size=8)), st.text(max_size=30)), max_size=12)


@given(PAIRS, PAIRS, st.booleans())
def test_any_signed_form_becomes_a_record_that_can_be_written_or_is_malformed(
    form: Sequence[tuple[str, str]], query: Sequence[tuple[str, str]], complete: bool
) -> None:
    more = status_form() if complete else []
    try:
        callback = read_status([*form, *more], query, token="t", now_ms=NOW_MS)
    except Malformed:
        pass
    else:
        assert CODEC.decode(CODEC.encode(callback)) == callback

    more = inbound_form() if complete else []
    try:
        message = read_inbound([*form, *more], account="main", token=None, now_ms=NOW_MS)
    except Malformed:
        pass
    else:
        assert CODEC.decode(CODEC.encode(message)) == message
        for consent in consents_of(message):
            assert CODEC.decode(CODEC.encode(consent)) == consent
