"""When a request reached this machine, though its turn came later.

A twin in a busy process (a test that waits for a broker, a machine with more to do than it can) reads requests late
and several at once, and would take a steady sender for one that sends in bursts. The kernel knows when the bytes came.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import sys

WORTH_ASKING_S = 0.02
"""The kernel counts in its own ticks, of 1 to 10 ms: of a shorter wait the clock here tells more."""
_LAST_DATA_RECV = struct.Struct("=52xI")
"""`tcpi_last_data_recv` of `struct tcp_info` (linux/tcp.h): milliseconds since data last came in."""


def waited_s(transport: asyncio.BaseTransport | None) -> float:
    """For how many seconds the last bytes of a connection have waited here; 0 where the wait is short, or cannot be
    told: the kernel is not Linux, or the connection is gone."""
    connection = None if transport is None else transport.get_extra_info("socket")
    if connection is None or sys.platform != "linux":
        return 0.0
    try:
        (waited_ms,) = _LAST_DATA_RECV.unpack(
            connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LAST_DATA_RECV.size)
        )
    except (OSError, struct.error):
        return 0.0
    waited: float = waited_ms / 1000
    return waited if waited >= WORTH_ASKING_S else 0.0
