"""A request that is no longer wanted when it is its turn to be written, or whose turn comes later."""

from __future__ import annotations

import itertools

import pytest

from connectors.twilio.answers import Accepted, NotSent
from connectors.twilio.http import Form, RequestWithheld, TwilioSession
from connectors.twilio.messages import Messages
from tests.connectors.twilio.orders import account, order
from tests.connectors.twilio.raw_server import RawServer, answering, response

CREATED = b'{"sid": "SM%032d", "status": "queued", "num_segments": "1"}' % 1


async def test_what_is_no_longer_wanted_leaves_no_byte() -> None:
    async with TwilioSession() as session, RawServer(answering(response(201, CREATED))) as server:
        messages = Messages(session, now_ms=lambda: 0)
        answer = await messages.create(account(server.url), order(), status_callback=None, turn=lambda: None)
        assert isinstance(answer, NotSent)
        assert answer.withheld
        wanted = await messages.create(account(server.url), order(), status_callback=None, turn=lambda: 0)
        assert isinstance(wanted, Accepted)
        assert len(server.requests) == 1


async def test_it_is_asked_once_and_only_when_a_connection_is_there() -> None:
    asked = []

    def turn() -> float:
        asked.append(True)
        return 0.0

    async with TwilioSession() as session, RawServer(answering(response(201, CREATED))) as server:
        messages = Messages(session, now_ms=lambda: 0)
        await messages.create(account(server.url), order(), status_callback=None, turn=turn)
        assert len(asked) == 1
        refused = await messages.create(account("http://127.0.0.1:1"), order(), status_callback=None, turn=turn)
        assert refused == NotSent(refused.why)  # type: ignore[union-attr]  # NotSent by this very comparison
        assert len(asked) == 1


async def test_a_request_whose_turn_is_later_is_asked_about_again_and_keeps_its_connection() -> None:
    async with TwilioSession() as session, RawServer(answering(response(201, CREATED))) as server:
        messages = Messages(session, now_ms=lambda: 0)
        asked = itertools.count()

        def turn() -> float:
            assert not server.requests, "written before its turn"
            return 0.02 if next(asked) < 2 else 0.0

        answer = await messages.create(account(server.url), order(), status_callback=None, turn=turn)
        assert isinstance(answer, Accepted)
        assert next(asked) == 3
        assert (len(server.requests), server.connections) == (1, 1)


async def test_only_the_request_that_is_not_wanted_is_withheld() -> None:
    async with TwilioSession() as session, RawServer(answering(response(200, b"{}"))) as server:
        client = session.client(account(server.url))
        with pytest.raises(RequestWithheld):
            await client.request_async("POST", f"{server.url}/x", data=Form([("To", "+1")], lambda: None))
        await client.request_async("POST", f"{server.url}/x", data=Form([("To", "+1")], lambda: 0))
        await client.request_async("POST", f"{server.url}/x", data={"To": "+1"})
        await client.request_async("GET", f"{server.url}/x")
        assert [(seen.method, seen.body) for seen in server.requests] == [
            ("POST", b"To=%2B1"),
            ("POST", b"To=%2B1"),
            ("GET", b""),
        ]
        assert server.connections == 1
