"""What the group's coordinator answers, as it passes: the lease is told what was heard, and a share of partitions that
does not fit is sent back."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from aiokafka.protocol.group import HeartbeatRequest, SyncGroupRequest

from .lease import Lease

_NO_ERROR = 0
_REBALANCE_IN_PROGRESS = 27
_NOT_A_MEMBER = frozenset({22, 25, 82})  # ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID

Send = Callable[[Any], Coroutine[Any, Any, Any]]
"""The coordinator's way to the broker: a request, and its answer."""


async def takes_any(share: bytes) -> bool:
    """Refuses no share."""
    return False


def watched(send: Send, lease: Lease, refuses: Callable[[bytes], Coroutine[Any, Any, bool]] = takes_any) -> Send:
    """The coordinator's way to the broker, with the lease told what heartbeats and joins were answered. A share that
    `refuses` does not want looks like one that a rebalance has overtaken: the client joins again."""

    async def watching(request: Any) -> Any:
        requested_at = lease.now()
        response = await send(request)
        if not isinstance(request, HeartbeatRequest | SyncGroupRequest):
            return response
        if response.error_code == _NO_ERROR:
            lease.renew(requested_at)
            if isinstance(request, SyncGroupRequest) and await refuses(response.member_assignment):
                response.error_code = _REBALANCE_IN_PROGRESS
        elif response.error_code in _NOT_A_MEMBER:
            lease.lose()
        return response

    return watching
