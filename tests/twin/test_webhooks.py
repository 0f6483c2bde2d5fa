"""Which failures are tried again: the table of Twilio's connection overrides."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from aiohttp import web

from tests.twin.rig import Hook
from twin.clock import RealClock
from twin.settings import WebhookSettings
from twin.webhooks import Caller, Webhook


async def _call(url: str, **given: Any) -> Webhook:
    finished: list[Webhook] = []
    caller = Caller(WebhookSettings(retry_pause_s=0), RealClock(), finished.append)
    webhook = Webhook(
        kind="status",
        sid="SM1",
        status="sent",
        url=url,
        fields=[("MessageSid", "SM1"), ("Body", "é&+")],
        signing_token="t",
        created=0.0,
        **given,
    )
    await caller.call(webhook)
    await caller.close()
    assert finished == [webhook]
    return webhook


def _results(webhook: Webhook) -> list[str]:
    return [one.result for one in webhook.tries]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


@pytest.mark.parametrize(
    ("answer", "fragment", "results"),
    [
        (200, "", ["2xx"]),
        (204, "", ["2xx"]),
        (500, "", ["5xx"]),
        (404, "", ["4xx"]),
        ("reset", "", ["rt"]),
        ("hang", "rt=100", ["rt"]),
        (500, "rp=5xx", ["5xx", "2xx"]),
        (503, "rc=5&rp=all", ["5xx", "2xx"]),
        (404, "rc=5&rp=5xx", ["4xx"]),
        (404, "rc=5&rp=4xx", ["4xx", "2xx"]),
        ("reset", "rp=rt", ["rt", "2xx"]),
        ("reset", "rc=5&rp=all", ["rt", "2xx"]),
        ("hang", "rt=1500&rc=1&rp=rt", ["rt", "2xx"]),
        (500, "rc=0&rp=all", ["5xx"]),
    ],
)
async def test_a_failure_is_tried_again_by_policy(answer: Any, fragment: str, results: list[str], hook: Hook) -> None:
    hook.answers = [answer]
    webhook = await _call(f"{hook.url()}#{fragment}")
    assert _results(webhook) == results
    assert webhook.delivered == (results[-1] == "2xx")


@pytest.mark.parametrize(
    ("fragment", "tries"), [("", 2), ("rc=5", 6), ("rc=0", 1), ("rc=3&rp=5xx", 1), ("rc=3&rp=all", 4)]
)
async def test_a_refused_connection_is_tried_again_once_by_default(fragment: str, tries: int, closed_port: int) -> None:
    webhook = await _call(f"http://127.0.0.1:{closed_port}/#{fragment}")
    assert _results(webhook) == ["ct"] * tries


async def test_every_try_is_the_same_request(hook: Hook) -> None:
    hook.answers = [500, "reset", 500]
    await _call(hook.url("/twilio/status?m=1") + "#rc=5&rp=all")
    assert len(hook.calls) == 4
    assert len({(call.body, call.headers["I-Twilio-Idempotency-Token"]) for call in hook.calls}) == 1
    assert len({call.headers["X-Twilio-Signature"] for call in hook.calls}) == 1
    assert hook.calls[0].body == b"MessageSid=SM1&Body=%C3%A9%26%2B"


async def test_all_tries_happen_within_the_total_time(hook: Hook) -> None:
    hook.answers = ["hang"] * 6
    webhook = await _call(hook.url() + "#rt=200&tt=500&rc=5&rp=all")
    assert 1 <= len(webhook.tries) <= 3
    assert sum(one.took_s for one in webhook.tries) < 5


async def test_an_address_that_is_no_web_address_cannot_be_connected() -> None:
    assert _results(await _call("gopher://127.0.0.1/cb#rc=0")) == ["ct"]


async def test_redirects_are_followed_as_get_without_the_fields(hook: Hook) -> None:
    hook.answers = [web.Response(status=307, headers={"Location": "/elsewhere?x=1"})]
    webhook = await _call(hook.url())
    assert webhook.delivered
    assert [(call.method, call.url, call.body) for call in hook.calls[1:]] == [("GET", hook.url("/elsewhere?x=1"), b"")]


async def test_endless_redirects_fail(hook: Hook) -> None:
    hook.answers = [web.Response(status=302, headers={"Location": "/again"}) for _ in range(20)]
    webhook = await _call(hook.url())
    assert (webhook.delivered, len(hook.calls)) == (False, 10)


async def test_a_get_webhook_carries_its_fields_in_the_query(hook: Hook) -> None:
    await _call(hook.url("/cb?x=1"), method="GET")
    assert hook.calls[0].url == hook.url("/cb?x=1&MessageSid=SM1&Body=%C3%A9%26%2B")
    assert (hook.calls[0].method, hook.calls[0].body) == ("GET", b"")


async def test_chunked_and_closed_answers_are_understood(hook: Hook) -> None:
    async def chunked(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/xml"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        await response.write(b"<Resp")
        await response.write(b"onse/>")
        return response

    async def closing(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.0 200 OK\r\nContent-Type: text/xml\r\n\r\n<Response/>")
        request.transport.close()
        return web.Response()

    app = web.Application()
    app.router.add_post("/chunked", chunked)
    app.router.add_post("/closing", closing)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        for path in ("/chunked", "/closing"):
            finished: list[Webhook] = []
            caller = Caller(WebhookSettings(), RealClock(), finished.append)
            webhook = Webhook("inbound", "SM1", "received", base + path, [("a", "b")], "t", 0.0)
            await caller.call(webhook)
            await caller.close()
            assert (webhook.answer, webhook.answer_type) == (b"<Response/>", "text/xml")
    finally:
        await runner.cleanup()


async def test_an_answer_that_is_no_http_is_no_answer(hook: Hook) -> None:
    async def babble(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"hello there\r\n\r\n")
        return web.Response()

    app = web.Application()
    app.router.add_post("/", babble)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        webhook = await _call(f"http://127.0.0.1:{runner.addresses[0][1]}/")
    finally:
        await runner.cleanup()
    assert _results(webhook) == ["rt"]


async def test_a_bridge_that_restarts_between_two_calls_is_reached_again() -> None:
    finished: list[Webhook] = []
    caller = Caller(WebhookSettings(), RealClock(), finished.append)
    async with Hook() as first:
        port = first.port
        await caller.call(Webhook("status", "SM1", "sent", first.url(), [], "t", 0.0))
    second = Hook(port=port)
    async with second:
        await caller.call(Webhook("status", "SM1", "sent", second.url(), [], "t", 0.0))
        await caller.close()
    assert [webhook.delivered for webhook in finished] == [True, True]
