"""The official SDK works against the twin unchanged: only its base URL is set."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from twilio.base.exceptions import TwilioRestException
from twilio.http.async_http_client import AsyncTwilioHttpClient
from twilio.rest import Client

from tests.twin.rig import ACCOUNT, CHILD, CHILD_TOKEN, LONG, PERSON, SERVICE, TOKEN
from twin.server import Twin


def _client(twin: Twin, **options: Any) -> Client:
    client = Client(ACCOUNT, TOKEN, **options)
    client.api.base_url = twin.url  # all it takes
    return client


async def _in_thread(work: Callable[[], Any]) -> Any:
    return await asyncio.to_thread(work)


async def test_the_sync_client_creates_fetches_lists_updates_and_deletes(twin: Twin) -> None:
    client = _client(twin)

    def first() -> Any:
        message = client.messages.create(to=PERSON, from_=LONG, body="Hello", provide_feedback=True)
        assert (message.status, message.num_segments, message.direction) == ("queued", "1", "outbound-api")
        assert message.date_created == datetime(2026, 11, 23, 12, tzinfo=UTC)
        assert client.messages(message.sid).fetch().body == "Hello"
        return message

    def then(message: Any) -> None:
        assert client.messages(message.sid).fetch().status == "delivered"
        assert client.messages(message.sid).feedback.create(outcome="confirmed").outcome == "confirmed"
        assert client.messages(message.sid).update(body="").body == ""
        assert client.messages(message.sid).media.list() == []
        assert client.messages(message.sid).delete()
        assert client.messages.list() == []

    message = await _in_thread(first)
    await twin.advance(1)
    await _in_thread(lambda: then(message))


async def test_the_sync_client_follows_pages(twin: Twin) -> None:
    client = _client(twin)

    def work() -> list[str]:
        for number in range(7):
            client.messages.create(to=PERSON, from_=LONG, body=str(number))
        return [message.body for message in client.messages.list(page_size=3, to=PERSON)]

    assert await _in_thread(work) == ["6", "5", "4", "3", "2", "1", "0"]


async def test_the_sync_client_filters_by_date_sent(twin: Twin) -> None:
    client = _client(twin)
    await _in_thread(lambda: client.messages.create(to=PERSON, from_=LONG, body="today"))
    await twin.advance(24 * 3600)
    await _in_thread(lambda: client.messages.create(to=PERSON, from_=LONG, body="tomorrow"))
    await twin.advance(1)

    def work() -> list[list[str]]:
        day = datetime(2026, 11, 24, tzinfo=UTC)
        queries: list[dict[str, Any]] = [{"date_sent_before": day}, {"date_sent_after": day}, {"date_sent": day.date()}]
        return [[message.body for message in client.messages.list(**query)] for query in queries]

    assert await _in_thread(work) == [["today"], ["tomorrow"], ["tomorrow"]]


async def test_the_sync_client_schedules_and_cancels(twin: Twin) -> None:
    client = _client(twin)

    def work() -> Any:
        message = client.messages.create(
            to=PERSON,
            messaging_service_sid=SERVICE,
            body="Later",
            schedule_type="fixed",
            send_at=datetime(2026, 11, 23, 13, tzinfo=UTC),
        )
        assert message.status == "scheduled"
        return client.messages(message.sid).update(status="canceled").status

    assert await _in_thread(work) == "canceled"


async def test_the_sync_client_raises_twilios_errors(twin: Twin) -> None:
    client = _client(twin)
    with pytest.raises(TwilioRestException) as caught:
        await _in_thread(lambda: client.messages.create(to="123", from_=LONG, body="Hello"))
    error = caught.value
    assert (error.status, error.code) == (400, 21211)
    assert error.msg.endswith("The 'To' number 123 is not a valid phone number.")


async def test_the_async_client_creates_streams_and_raises(twin: Twin) -> None:
    http = AsyncTwilioHttpClient()
    client = _client(twin, http_client=http)
    try:
        for number in range(3):
            await client.messages.create_async(
                to=PERSON, from_=LONG, body=str(number), media_url=["https://a.example/1"]
            )
        bodies = [message.body async for message in await client.messages.stream_async(page_size=2)]
        assert bodies == ["2", "1", "0"]
        created = await client.messages.create_with_http_info_async(to=PERSON, from_=LONG, body="x")
        assert created.headers["Twilio-Request-Id"].startswith("RQ")
        with pytest.raises(TwilioRestException) as caught:
            await client.messages.create_async(to=PERSON, from_="+15550001111", body="x")
        assert caught.value.code == 21659
    finally:
        assert http.session is not None
        await http.session.close()


async def test_a_subaccount_is_addressed_with_the_parents_credentials(twin: Twin) -> None:
    client = Client(ACCOUNT, TOKEN, account_sid=CHILD)
    client.api.base_url = twin.url
    assert await _in_thread(lambda: client.messages.list()) == []
    own = Client(CHILD, CHILD_TOKEN)
    own.api.base_url = twin.url
    assert await _in_thread(lambda: own.api.accounts(CHILD).fetch().status) == "active"
