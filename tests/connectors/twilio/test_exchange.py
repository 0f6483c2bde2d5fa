"""One request and its answer, over aiohttp's connections."""

from __future__ import annotations

import asyncio
from urllib.parse import parse_qsl

import pytest
from aiohttp import ClientSession, ClientTimeout, TCPConnector
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from connectors.twilio.exchange import AnswerLost, Exchange, RequestNotSent
from connectors.twilio.http import Form
from tests.connectors.twilio.raw_server import Behaviour, RawServer, Seen, answering, closing, response
from tests.support.reviewed import digest

REVIEWED = {
    # What is used beyond aiohttp's documentation. A failure here after an upgrade is no bug yet: read the new source of
    # what is named, see whether exchange.py still fits, and only then take over the new digest.
    "aiohttp.connector:BaseConnector.connect": "b9fe1f4d3e57ad12",
    "aiohttp.connector:Connection": "b87e0588fdd9526b",
    "aiohttp.client_proto:ResponseHandler": "da5da6215c0ef3a0",
    "aiohttp.client_reqrep:ClientRequest.__init__": "8636fdb3a4b93b5f",
    "aiohttp.client_reqrep:ClientRequest.connection_key": "0976f2a8d42abf05",
    "aiohttp.client_reqrep:ClientRequest.update_headers": "4443c95d4332a9a8",
    "aiohttp.streams:StreamReader.read_nowait": "e340a15bd631cecb",
    # What it leaves out.
    "aiohttp.client:ClientSession._request": "32986b8105faf5f8",
    "aiohttp.client_reqrep:ClientRequest.send": "82b495aa06760c64",
    "aiohttp.client_reqrep:ClientResponse.start": "bcbf178da3660180",
}


@pytest.mark.parametrize("name", REVIEWED)
def test_the_source_of_aiohttp_is_the_one_that_was_reviewed(name: str) -> None:
    assert digest(name) == REVIEWED[name], f"{name} is not what exchange.py was written against"


async def ask(behaviour: Behaviour, times: int = 1, *, body: bytes | None = b"To=%2B1") -> tuple[list[object], int]:
    """(answers, connections) of requests one after the other."""
    answers: list[object] = []
    async with RawServer(behaviour) as server, ClientSession(timeout=ClientTimeout(total=10)) as session:
        exchange = Exchange(session, max_answer_bytes=100_000)
        for _ in range(times):
            try:
                answered = await exchange.send("POST", URL(server.url), (("X", "y"),), body)
                answers.append((answered.status, answered.body))
            except AnswerLost as lost:
                answers.append(lost)
        return answers, server.connections


async def test_a_connection_is_used_again_after_a_whole_answer() -> None:
    assert await ask(answering(response(201, b"{}")), 3) == ([(201, b"{}")] * 3, 1)


async def test_an_answer_without_body_is_whole() -> None:
    assert await ask(answering(b"HTTP/1.1 204 No Content\r\n\r\n"), 2) == ([(204, b"")] * 2, 1)


async def test_an_answer_in_chunks_is_read_to_its_end() -> None:
    chunked = b"HTTP/1.1 201 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n"
    assert await ask(answering(chunked), 2) == ([(201, b"{}")] * 2, 1)


async def test_an_answer_that_ends_with_its_connection_is_whole_and_the_next_request_gets_another() -> None:
    assert await ask(closing(b"HTTP/1.1 201 OK\r\n\r\n{}"), 2) == ([(201, b"{}")] * 2, 2)


async def test_a_connection_whose_other_side_wants_it_closed_is_not_used_again() -> None:
    assert await ask(answering(response(201, b"{}", {"Connection": "close"})), 2) == ([(201, b"{}")] * 2, 2)


async def test_an_interim_answer_is_passed_over() -> None:
    assert await ask(answering(b"HTTP/1.1 103 Early Hints\r\n\r\n" + response(201, b"{}"))) == ([(201, b"{}")], 1)


async def test_bytes_that_nobody_asked_for_end_their_connection() -> None:
    answers, connections = await ask(answering(response(201, b"{}") + response(200, b"[]")), 2)

    assert answers == [(201, b"{}")] * 2
    assert connections == 2


async def test_an_answer_that_comes_twice_is_not_taken_for_that_of_the_next_request() -> None:
    async def late(_: Seen, writer: asyncio.StreamWriter) -> None:
        writer.write(response(201, b"{}"))
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.write(response(201, b"[]"))

    async with RawServer(late) as server, ClientSession(timeout=ClientTimeout(total=10)) as session:
        exchange = Exchange(session, max_answer_bytes=100_000)
        await exchange.send("POST", URL(server.url), (), b"")
        await asyncio.sleep(0.3)
        with pytest.raises(AnswerLost):
            await exchange.send("POST", URL(server.url), (), b"")
        assert len(server.requests) == 1


async def test_a_post_without_fields_says_so() -> None:
    seen: list[Seen] = []

    async def note(one: Seen, writer: object) -> None:
        seen.append(one)
        await answering(response(200, b"{}"))(one, writer)  # type: ignore[arg-type]

    await ask(note, body=b"")

    assert seen[0].headers["content-length"] == "0"
    assert seen[0].headers["x"] == "y"


@pytest.mark.parametrize("value", ["a\r\nX-Injected: b", "a\nb", "a\x00b"])
async def test_a_header_with_a_control_character_is_refused(value: str) -> None:
    async with ClientSession(timeout=ClientTimeout(total=10)) as session:
        with pytest.raises(RequestNotSent, match="control character"):
            await Exchange(session, max_answer_bytes=1).send("GET", URL("http://127.0.0.1:9"), (("X", value),), None)


async def test_a_closed_session_sends_nothing() -> None:
    session = ClientSession(timeout=ClientTimeout(total=10))
    exchange = Exchange(session, max_answer_bytes=1)
    await session.close()

    with pytest.raises(RequestNotSent):
        await exchange.send("GET", URL("http://127.0.0.1:9"), (), None)


async def test_connections_that_were_lost_leave_room_for_others() -> None:
    async with RawServer(closing()) as server:
        connector = TCPConnector(limit=1)
        async with ClientSession(connector=connector, timeout=ClientTimeout(total=10, connect=1)) as session:
            exchange = Exchange(session, max_answer_bytes=1)
            for _ in range(3):
                with pytest.raises(AnswerLost):
                    await exchange.send("POST", URL(server.url), (), b"")


@given(st.lists(st.tuples(st.just("Body"), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))))
def test_a_form_says_what_was_put_in(fields: list[tuple[str, str]]) -> None:
    assert parse_qsl(Form(fields).body.decode()) == fields
