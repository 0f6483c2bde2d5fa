"""Kafka's client quotas, which no Python client can set: one AlterClientQuotas request (version 0) by hand."""

from __future__ import annotations

import socket
import struct
import time

from confluent_kafka import Producer

_ALTER_CLIENT_QUOTAS = 49
_TIMEOUT_S = 30.0
_CHUNK_BYTES = 20_000


def limit_producer(bootstrap: str, client_id: str, bytes_per_s: float | None) -> None:
    """Let the broker slow down what this client id writes, by delaying its answers; None lifts the limit."""
    host, port = bootstrap.split(",")[0].rsplit(":", 1)
    with socket.create_connection((host, int(port)), _TIMEOUT_S) as connection:
        request = _request(client_id, bytes_per_s)
        connection.sendall(struct.pack(">i", len(request)) + request)
        answer = _exactly(connection, struct.unpack(">i", _exactly(connection, 4))[0])
    # correlation id, throttle time, number of entries, error code of the one
    _, _, entries, error = struct.unpack_from(">iiih", answer)
    assert (entries, error) == (1, 0), f"the broker refused the quota: {answer!r}"


def _request(client_id: str, bytes_per_s: float | None) -> bytes:
    header = struct.pack(">hhi", _ALTER_CLIENT_QUOTAS, 0, 1) + _string("tests")
    entity = struct.pack(">i", 1) + _string("client-id") + _string(client_id)
    rate = struct.pack(">d?", bytes_per_s or 0.0, bytes_per_s is None)
    change = struct.pack(">i", 1) + _string("producer_byte_rate") + rate
    return header + struct.pack(">i", 1) + entity + change + struct.pack(">?", False)


def _string(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        assert chunk, "the broker closed the connection"
        data += chunk
    return data


def overdraw(bootstrap: str, client_id: str, topic: str, size: int) -> None:
    """Write so many bytes under this client id; return once the broker has slowed the writer down for it."""
    throttled: list[float] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "client.id": client_id,
            "acks": "all",
            "throttle_cb": lambda event: throttled.append(event.throttle_time),
        }
    )
    for _ in range(0, size, _CHUNK_BYTES):
        producer.produce(topic, b"\0" * _CHUNK_BYTES)
    deadline = time.monotonic() + _TIMEOUT_S
    while not throttled:
        assert time.monotonic() < deadline, f"{client_id} wrote {size} bytes and was not slowed down"
        producer.poll(0.1)
    producer.purge()
    producer.flush(_TIMEOUT_S)
