"""A server that accepts every message at once, or after a given time, and does no more than that, so that a benchmark
measures its client: `python -m bench.dispatch_sink <port> <latency ms> [certificate key]`.

GET /stats answers {"count", "times", "senders"}: epoch seconds of the first request and of every hundredth one, of all
and of each From. GET /reset forgets them.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from typing import cast

import uvloop

EVERY = 100


class Sink(asyncio.Protocol):
    """One connection; requests come one after the other."""

    count = 0
    latency_s = 0.0
    times: list[float] = []  # noqa: RUF012 shared by all connections on purpose
    senders: dict[str, tuple[int, list[float]]] = {}  # noqa: RUF012

    def __init__(self) -> None:
        self._data = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        while (end := self._data.find(b"\r\n\r\n")) >= 0:
            head = self._data[:end]
            length = 0
            at = head.lower().find(b"content-length:")
            if at >= 0:
                length = int(head[at + 15 :].split(b"\r\n", 1)[0])
            if len(self._data) < end + 4 + length:
                return
            body = self._data[end + 4 : end + 4 + length]
            self._data = self._data[end + 4 + length :]
            self._serve(head, body)

    def _serve(self, head: bytes, form: bytes) -> None:
        if head.startswith(b"GET /stats"):
            told = {"count": Sink.count, "times": Sink.times, "senders": Sink.senders}
            self._answer(200, json.dumps(told).encode())
        elif head.startswith(b"GET /reset"):
            Sink.count, Sink.times, Sink.senders = 0, [], {}
            self._answer(200, b"{}")
        else:
            if Sink.count % EVERY == 0:
                Sink.times.append(time.time())
            Sink.count += 1
            self._note(form)
            body = _MESSAGE % Sink.count
            if Sink.latency_s:
                asyncio.get_running_loop().call_later(Sink.latency_s, self._answer, 201, body)
            else:
                self._answer(201, body)

    def _note(self, form: bytes) -> None:
        at = form.find(b"From=%2B")
        sender = "+" + form[at + 8 : form.find(b"&", at) if b"&" in form[at:] else len(form)].decode()
        count, times = Sink.senders.get(sender, (0, []))
        if count % EVERY == 0:
            times.append(time.time())
        Sink.senders[sender] = (count + 1, times)

    def _answer(self, status: int, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(_HEAD % (status, Sink.count, len(body)) + body)


_HEAD = (
    b"HTTP/1.1 %d OK\r\nContent-Type: application/json\r\nTwilio-Request-Id: RQ%032d\r\n"
    b"Twilio-Concurrent-Requests: 1\r\nContent-Length: %d\r\n\r\n"
)
_MESSAGE = (
    b'{"sid":"SM%032x","status":"queued","num_segments":"1","num_media":"0","to":"+14155550100","from":"+15005550006",'
    b'"body":"Your order leaves today.","direction":"outbound-api","error_code":null,"error_message":null,"price":null,'
    b'"date_created":"Mon, 23 Nov 2026 12:00:00 +0000","date_updated":"Mon, 23 Nov 2026 12:00:00 +0000",'
    b'"date_sent":null,"account_sid":"AC00000000000000000000000000000000","messaging_service_sid":null,'
    b'"api_version":"2010-04-01","uri":"/2010-04-01/x.json","subresource_uris":{},"price_unit":null}'
)


async def serve(port: int, latency_s: float, certificate: str | None, key: str | None) -> None:
    Sink.latency_s = latency_s
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    server = await asyncio.get_running_loop().create_server(Sink, "127.0.0.1", port, ssl=context, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    more = [*sys.argv[3:], None, None]
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000, more[0], more[1]))
