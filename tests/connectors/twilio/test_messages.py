from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl

import pytest
from aiohttp import ThreadedResolver

from connectors.twilio.answers import (
    LONGEST_WAIT_S,
    Accepted,
    InDoubt,
    Listing,
    Missing,
    NotSent,
    Rejected,
    Unavailable,
    read_create,
)
from connectors.twilio.errors import ErrorOverride, ErrorPolicy, Retry, Scope, Subject
from connectors.twilio.http import HttpSettings, TwilioSession
from connectors.twilio.messages import Messages
from schemas.records import Channel
from tests.connectors.twilio.orders import ACCOUNT_SID, NOW_MS, SERVICE_SID, SID, account, order
from tests.connectors.twilio.raw_server import (
    Behaviour,
    RawServer,
    Seen,
    answering,
    closing,
    dripping,
    hang,
    reset,
    response,
)

CREATED = json.dumps(
    {
        "sid": SID,
        "status": "queued",
        "num_segments": "2",
        "to": "+14155550123",
        "from": "+14155550100",
        "body": "hi",
        "direction": "outbound-api",
        "date_created": "Mon, 23 Nov 2026 12:00:00 +0000",
        "date_sent": None,
        "error_code": None,
        "price": None,
    }
).encode()
HEADERS = {
    "Twilio-Request-Id": "RQ" + "1" * 32,
    "Twilio-Concurrent-Requests": "7",
    "Date": "Mon, 23 Nov 2026 12:00:01 GMT",
}
DATE_MS = 1_795_435_201_000
CALLBACK = "https://bridge.example.com/twilio/status?m=1&r=0&a=1#rc=5&rp=all"


@pytest.fixture
async def session() -> AsyncIterator[TwilioSession]:
    async with TwilioSession(HttpSettings(total_timeout_s=20.0, connect_timeout_s=10.0)) as session:
        yield session


@pytest.fixture
async def hasty() -> AsyncIterator[TwilioSession]:
    settings = HttpSettings(total_timeout_s=0.6, connect_timeout_s=0.3, max_connections=1)
    async with TwilioSession(settings) as session:
        yield session


def messages(session: TwilioSession, policy: ErrorPolicy | None = None) -> Messages:
    return Messages(session, now_ms=lambda: NOW_MS, policy=policy)


async def create(session: TwilioSession, base_url: str, **changes: Any) -> Any:
    return await messages(session).create(account(base_url), order(**changes), status_callback=CALLBACK)


def error_body(code: int, message: str = "no") -> bytes:
    return json.dumps({"code": code, "message": message, "status": 400, "more_info": "x"}).encode()


async def test_an_accepted_message_carries_what_twilio_said_in_body_and_headers(session: TwilioSession) -> None:
    async with RawServer(answering(response(201, CREATED, HEADERS))) as server:
        answer = await create(session, server.url)

    assert answer == Accepted(SID, "queued", 2, "RQ" + "1" * 32, 7, DATE_MS, http_status=201)


async def test_an_accepted_message_carries_the_status_that_came(session: TwilioSession) -> None:
    async with RawServer(answering(response(200, CREATED, HEADERS))) as server:
        answer = await create(session, server.url)

    assert (answer.sid, answer.http_status) == (SID, 200)


async def test_what_goes_over_the_wire_is_the_form_that_twilio_documents(session: TwilioSession) -> None:
    async with RawServer(answering(response(201, CREATED))) as server:
        await create(
            session,
            server.url,
            channel=Channel.MMS,
            body="Grüße & = 👍",
            media_urls=["https://m.example/1.png", "https://m.example/2.png"],
            tags={"campaign": "spring"},
            messaging_service_sid=SERVICE_SID,
            shorten_urls=False,
        )
        [seen] = server.requests

    assert (seen.method, seen.target) == ("POST", f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json")
    assert seen.headers["authorization"] == "Basic U0sxMTExMTExMTExMTExMTExMTExMTExMTExMTExMTExMTpzM2NyZXQ="
    assert seen.headers["content-type"] == "application/x-www-form-urlencoded"
    assert seen.headers["user-agent"].startswith("twilio-python/")
    assert parse_qsl(seen.body.decode()) == [
        ("To", "+14155550123"),
        ("From", "+14155550100"),
        ("MessagingServiceSid", SERVICE_SID),
        ("Body", "Grüße & = 👍"),
        ("MediaUrl", "https://m.example/1.png"),
        ("MediaUrl", "https://m.example/2.png"),
        ("StatusCallback", CALLBACK),
        ("ShortenUrls", "false"),
        ("Tags", '{"campaign":"spring"}'),
    ]


async def test_the_process_environment_does_not_move_requests(
    session: TwilioSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TWILIO_EDGE", "sydney")
    monkeypatch.setenv("TWILIO_REGION", "au1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with RawServer(answering(response(201, CREATED))) as server:
        assert isinstance(await create(session, server.url), Accepted)
        assert server.requests[0].headers["host"] == server.address


@pytest.mark.parametrize(
    ("status", "body", "scope", "subject", "code"),
    [
        (429, error_body(20429), Scope.THROTTLED, Subject.ACCOUNT, 20429),
        (429, error_body(21611), Scope.THROTTLED, Subject.SENDER, 21611),
        (429, b"", Scope.THROTTLED, Subject.ACCOUNT, None),
        (503, error_body(20429), Scope.THROTTLED, Subject.ACCOUNT, 20429),
        (400, error_body(21610), Scope.RECIPIENT, Subject.RECIPIENT, 21610),
        (400, error_body(21606), Scope.SENDER, Subject.SENDER, 21606),
        (400, error_body(21617), Scope.MESSAGE, Subject.MESSAGE, 21617),
        (400, error_body(29999), Scope.MESSAGE, Subject.MESSAGE, 29999),
        (400, b"<html>", Scope.MESSAGE, Subject.MESSAGE, None),
        (401, error_body(20003), Scope.ACCOUNT, Subject.ACCOUNT, 20003),
        (403, b"", Scope.ACCOUNT, Subject.ACCOUNT, None),
        (404, error_body(20404), Scope.ACCOUNT, Subject.ACCOUNT, 20404),
        (404, b"nginx", Scope.ACCOUNT, Subject.ACCOUNT, None),
        (307, b"", Scope.ACCOUNT, Subject.ACCOUNT, None),
        (400, json.dumps({"code": 400, "message": "x"}).encode(), Scope.MESSAGE, Subject.MESSAGE, None),
        (400, b"[1]", Scope.MESSAGE, Subject.MESSAGE, None),
        (
            400,
            b'{"type":"t","title":"Bad","status":400,"code":21211,"detail":"no such number"}',
            Scope.RECIPIENT,
            Subject.RECIPIENT,
            21211,
        ),
    ],
)
async def test_a_refusal_is_classified_by_code_first_and_keeps_its_headers(
    session: TwilioSession, status: int, body: bytes, scope: Scope, subject: Subject, code: int | None
) -> None:
    async with RawServer(answering(response(status, body, HEADERS | {"Retry-After": "3"}))) as server:
        answer = await create(session, server.url)
        assert len(server.requests) == 1

    assert isinstance(answer, Rejected)
    assert (answer.error.error_class.scope, answer.error.error_class.subject) == (scope, subject)
    assert (answer.error.code, answer.error.http_status) == (code, status)
    assert (answer.request_id, answer.concurrent_requests) == ("RQ" + "1" * 32, 7)
    assert (answer.retry_after_s, answer.date_ms) == (3.0, DATE_MS)


@pytest.mark.parametrize(
    ("headers", "retry_after_s"),
    [
        ({"Retry-After": "9" * 18}, LONGEST_WAIT_S),
        ({"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, LONGEST_WAIT_S),
        ({"Retry-After": "Mon, 23 Nov 2026 12:00:31 +99999999999999"}, None),
        ({"Retry-After": "Mon, 99999999999999999999 Nov 2026 12:00:31 GMT"}, None),
        ({"Date": "Mon, 99999999999999999999 Nov 2026 12:00:31 GMT", "Retry-After": "5"}, 5.0),
    ],
)
def test_whatever_stands_in_a_header_no_message_waits_for_ever_and_no_process_ends(
    headers: dict[str, str], retry_after_s: float | None
) -> None:
    answer = read_create(429, '{"code": 20429}', headers, ErrorPolicy())
    assert isinstance(answer, Rejected)
    assert answer.retry_after_s == retry_after_s


async def test_retry_after_may_be_a_date(session: TwilioSession) -> None:
    headers = HEADERS | {"Retry-After": "Mon, 23 Nov 2026 12:00:31 GMT"}
    async with RawServer(answering(response(429, error_body(20429), headers))) as server:
        answer = await create(session, server.url)

    assert answer.retry_after_s == 30.0


async def test_an_operator_may_think_differently_about_a_code(session: TwilioSession) -> None:
    policy = ErrorPolicy({21408: ErrorOverride(scope=Scope.RECIPIENT, retry=Retry.NO)})
    async with RawServer(answering(response(400, error_body(21408)))) as server:
        answer = await messages(session, policy).create(account(server.url), order(), status_callback=None)

    assert isinstance(answer, Rejected)
    assert answer.error.error_class.scope is Scope.RECIPIENT


async def test_an_order_that_breaks_a_limit_is_refused_with_twilios_code_and_not_sent(session: TwilioSession) -> None:
    async with RawServer(answering(response(201, CREATED))) as server:
        answer = await create(session, server.url, body="x" * 1601)
        assert server.requests == []

    assert isinstance(answer, Rejected)
    assert (answer.error.code, answer.error.http_status) == (21617, None)
    assert answer.error.error_class.scope is Scope.MESSAGE


LOST: dict[str, Behaviour] = {
    "closed without an answer": closing(),
    "reset": reset,
    "half a status line": closing(b"HTTP/1.1 20"),
    "half a body": closing(response(201, CREATED, length=len(CREATED) + 9)),
    "not HTTP": closing(b"\x00\x01\x02 SSH-2.0-OpenSSH\r\n\r\n"),
    "a wrong length": answering(response(201, CREATED, {"Content-Length": "many"})),
    "a broken chunk": answering(b"HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n"),
    "no JSON": answering(response(201, b"<html>welcome</html>")),
    "JSON of no message": answering(response(200, b'{"hello": "world"}')),
    "a SID of something else": answering(response(201, CREATED.replace(b"SM", b"CA"))),
    "an empty 204": answering(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "500": answering(response(500, error_body(20500))),
    "502 of a proxy": answering(response(502, b"<html>bad gateway</html>")),
    "503": answering(response(503, error_body(20503))),
    "500 with the code of a refusal": answering(response(500, error_body(21211))),
    "408 of a proxy": answering(response(408)),
    "303": answering(response(303, b"", {"Location": "/elsewhere"})),
}


@pytest.mark.parametrize("behaviour", LOST.values(), ids=LOST.keys())
async def test_whatever_else_comes_after_the_request_was_sent_leaves_it_in_doubt_and_it_is_not_sent_again(
    session: TwilioSession, behaviour: Behaviour
) -> None:
    async with RawServer(behaviour) as server:
        answer = await create(session, server.url)

        assert isinstance(answer, InDoubt), answer
        assert answer.why
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "behaviour",
    [hang, dripping(response(201, CREATED), 0.05), dripping(b"HTTP/1.1 201 OK\r\n" + b"X: y\r\n" * 99, 0.02)],
    ids=["hangs", "drips its body", "drips its headers"],
)
async def test_the_total_timeout_holds_against_a_server_that_hangs_or_drips(
    hasty: TwilioSession, behaviour: Behaviour
) -> None:
    async with RawServer(behaviour) as server, asyncio.timeout(15):
        answer = await create(hasty, server.url)

        assert isinstance(answer, InDoubt)
        assert len(server.requests) == 1


def test_timeouts_are_not_rounded_up_to_whole_seconds() -> None:
    """The lease counts on the total timeout; aiohttp's default rounds 10 s to up to 11."""

    async def threshold() -> float:
        async with TwilioSession() as session:
            assert session._session is not None
            return session._session.timeout.ceil_threshold - (session._session.timeout.total or 0)

    assert asyncio.run(threshold()) > 0


async def test_an_endless_answer_is_cut_off_and_in_doubt() -> None:
    async def endless(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"400\r\n" + b"a" * 1024 + b"\r\n")
            await writer.drain()

    async with TwilioSession(HttpSettings(max_answer_bytes=100_000)) as session, RawServer(endless) as server:
        answer = await create(session, server.url)

    assert isinstance(answer, InDoubt)
    assert "larger than 100000" in answer.why


async def test_a_connection_closed_at_once_leaves_the_request_in_doubt(session: TwilioSession) -> None:
    """It was established, so bytes of the request may have been read before."""

    async def slam(writer: asyncio.StreamWriter) -> bool:
        writer.close()
        return False

    async with RawServer(hang, on_connect=slam) as server:
        assert isinstance(await create(session, server.url), InDoubt)


async def test_a_pooled_connection_that_turns_out_closed_leaves_a_post_in_doubt(session: TwilioSession) -> None:
    """aiohttp would repeat an idempotent request; a POST must not be repeated."""
    answered = asyncio.Event()

    async def once(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if answered.is_set():
            await reset(seen, writer)
        writer.write(response(201, CREATED))
        answered.set()

    async with RawServer(once) as server:
        assert isinstance(await create(session, server.url), Accepted)
        assert isinstance(await create(session, server.url), InDoubt)
        assert (server.connections, len(server.requests)) == (1, 2)


async def test_a_redirect_is_not_followed(session: TwilioSession) -> None:
    async with RawServer(answering(response(201, CREATED))) as elsewhere:
        location = {"Location": f"{elsewhere.url}/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json"}
        async with RawServer(answering(response(308, b"", location))) as server:
            answer = await create(session, server.url)
        assert elsewhere.requests == []

    assert isinstance(answer, Rejected)


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_a_refused_connection_is_certainly_not_sent(session: TwilioSession) -> None:
    answer = await create(session, f"http://127.0.0.1:{unused_port()}")

    assert isinstance(answer, NotSent)
    assert "ClientConnectorError" in answer.why


async def test_an_unknown_host_is_certainly_not_sent(session: TwilioSession, monkeypatch: pytest.MonkeyPatch) -> None:
    async def unknown(*_: object, **__: object) -> None:
        raise OSError(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(ThreadedResolver, "resolve", unknown)

    assert isinstance(await create(session, "http://no-such-host.invalid"), NotSent)


async def test_a_handshake_that_never_ends_is_certainly_not_sent(hasty: TwilioSession) -> None:
    async def silent(_: asyncio.StreamWriter) -> bool:
        await asyncio.Event().wait()
        return False

    async with RawServer(hang, on_connect=silent) as server:
        answer = await create(hasty, f"https://{server.address}")

    assert isinstance(answer, NotSent), answer


async def test_a_server_that_speaks_no_tls_is_certainly_not_sent(session: TwilioSession) -> None:
    async def plain(writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        return True

    async with RawServer(hang, on_connect=plain) as server:
        answer = await create(session, f"https://{server.address}")

        assert isinstance(answer, NotSent), answer
        assert server.requests == []


async def test_who_gets_no_connection_in_time_is_certainly_not_sent(hasty: TwilioSession) -> None:
    arrived = asyncio.Event()

    async def hold(seen: Seen, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await hang(seen, writer)

    async with RawServer(hold) as server:
        first = asyncio.create_task(create(hasty, server.url))
        await arrived.wait()
        second = await create(hasty, server.url)

        assert isinstance(second, NotSent), second
        assert isinstance(await first, InDoubt)
        assert len(server.requests) == 1


async def test_a_closed_session_sends_nothing(session: TwilioSession) -> None:
    client = session.client(account("http://127.0.0.1:9"))
    assert client is session.client(account("http://127.0.0.1:9"))
    await session.stop()

    with pytest.raises(RuntimeError, match="start the session"):
        session.client(account("http://127.0.0.1:9"))


async def test_a_message_is_fetched_by_its_sid(session: TwilioSession) -> None:
    async with RawServer(answering(response(200, CREATED))) as server:
        found = await messages(session).fetch(account(server.url), SID)
        [seen] = server.requests

    assert seen.target == f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages/{SID}.json"
    assert not isinstance(found, Missing | Rejected | Unavailable)
    assert (found.sid, found.status, found.sender, found.num_segments) == (SID, "queued", "+14155550100", 2)
    assert (found.date_created_ms, found.date_sent_ms) == (1_795_435_200_000, None)


@pytest.mark.parametrize(
    ("raw", "kind"),
    [
        (response(404, error_body(20404)), Missing),
        (response(401, error_body(20003)), Rejected),
        (response(500, b""), Unavailable),
        (response(429, error_body(20429)), Unavailable),
        (response(200, b"{}"), Unavailable),
        (response(200, b"nonsense"), Unavailable),
    ],
)
async def test_a_question_without_an_answer_says_why(session: TwilioSession, raw: bytes, kind: type) -> None:
    async with RawServer(answering(raw)) as server:
        assert isinstance(await messages(session).fetch(account(server.url), SID), kind)


def listed(sid: str, created: str | None) -> dict[str, Any]:
    return {**json.loads(CREATED), "sid": sid, "date_created": created}


async def test_a_list_follows_pages_until_nothing_is_new_enough(session: TwilioSession) -> None:
    fresh, old = "Mon, 23 Nov 2026 12:00:00 +0000", "Sun, 22 Nov 2026 12:00:00 +0000"
    pages = [
        ([listed("SM1", fresh), listed("SM2", None)], "/2010-04-01/next?Page=1"),
        ([listed("SM3", fresh), listed("SM4", old)], "/2010-04-01/next?Page=2"),
        ([listed("SM5", old)], "/2010-04-01/next?Page=3"),
        ([listed("SM6", fresh)], None),
    ]

    async def page(_: Seen, writer: asyncio.StreamWriter) -> None:
        rows, following = pages[len(server.requests) - 1]
        writer.write(response(200, json.dumps({"messages": rows, "next_page_uri": following}).encode(), HEADERS))

    async with RawServer(page) as server:
        listing = await messages(session).list_to(
            account(server.url), "+14155550123", DATE_MS - 60_000, channel=Channel.WHATSAPP
        )
        targets = [seen.target for seen in server.requests]

    assert isinstance(listing, Listing)
    assert [message.sid for message in listing.messages] == ["SM1", "SM2", "SM3"]
    assert (listing.complete, listing.date_ms) == (True, DATE_MS)
    assert targets == [
        f"/2010-04-01/Accounts/{ACCOUNT_SID}/Messages.json?To=whatsapp%3A%2B14155550123&PageSize=1000",
        "/2010-04-01/next?Page=1",
        "/2010-04-01/next?Page=2",
    ]


async def test_an_endless_list_is_incomplete_and_says_so(session: TwilioSession) -> None:
    body = {"messages": [listed("SM1", "Mon, 23 Nov 2026 12:00:00 +0000")], "next_page_uri": "/more"}
    async with RawServer(answering(response(200, json.dumps(body).encode()))) as server:
        listing = await messages(session).list_to(account(server.url), "+14155550123", 0)

    assert isinstance(listing, Listing)
    assert not listing.complete


@pytest.mark.parametrize("body", [b"{}", b'{"messages": [1]}', b'{"messages": [], "next_page_uri": 1}', b"\xff"])
async def test_a_list_that_is_none_is_unavailable(session: TwilioSession, body: bytes) -> None:
    async with RawServer(answering(response(200, body))) as server:
        assert isinstance(await messages(session).list_to(account(server.url), "+14155550123", 0), Unavailable)
