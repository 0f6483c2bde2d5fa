"""When a request came, told by a twin that was busy when it did."""

from __future__ import annotations

import asyncio
import socket
import sys
import time

import aiohttp

from tests.support.waiting import until
from twin.server import Twin

from .rig import ACCOUNT, LONG, PERSON, TOKEN, Caller, settings

BLOCKED_S = 0.4


async def test_a_request_that_waited_for_a_blocked_twin_is_told_by_when_it_came() -> None:
    async with Twin(settings(clock="real")) as twin:
        for number in range(3):
            assert (await Caller(twin).create(Body=f"{number}")).status == 201
        host, port = twin.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as connection:
            await asyncio.sleep(0.05)  # accepted
            key = aiohttp.encode_basic_auth(ACCOUNT, TOKEN)
            form = f"To=%2B{PERSON[1:]}&From=%2B{LONG[1:]}&Body=late"
            sent = twin.exchange.clock.now()
            connection.sendall(
                f"POST /2010-04-01/Accounts/{ACCOUNT}/Messages.json HTTP/1.1\r\nHost: x\r\n"
                f"Authorization: {key}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                f"Content-Length: {len(form)}\r\n\r\n{form}".encode()
            )
            time.sleep(BLOCKED_S)  # noqa: ASYNC251  # what the twin's process does instead of reading
            await until(lambda: len(twin.books.messages) == 4, 30)
    received = [message.received for message in twin.books.messages]
    assert received == sorted(received)
    # Elsewhere than on Linux the twin can only tell when it read.
    assert received[-1] - sent < (BLOCKED_S / 2 if sys.platform == "linux" else 60.0)
    assert received[-1] > sent - 0.02
    assert twin.books.messages[-1].accepted - sent >= BLOCKED_S
