"""What the group's coordinator answers."""

from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.protocol.group import HeartbeatRequest, LeaveGroupRequest, SyncGroupRequest

from connectors.kafka.group_answers import watched
from connectors.kafka.lease import Lease

HEARTBEAT = HeartbeatRequest("g", 1, "m")
SYNC = SyncGroupRequest("g", 1, "m", None, [])
LEAVE = LeaveGroupRequest("g", "m")


@pytest.mark.parametrize(
    ("name", "request_", "error_code", "valid"),
    [
        ("a heartbeat that is answered", HEARTBEAT, 0, True),
        ("the end of a join", SYNC, 0, True),
        ("a heartbeat during a rebalance", HEARTBEAT, 27, False),
        ("anything else", LEAVE, 0, False),
    ],
)
async def test_the_lease_is_renewed_by(name: str, request_: Any, error_code: int, valid: bool) -> None:
    async def send(request: Any) -> Any:
        return SimpleNamespace(error_code=error_code, member_assignment=b"")

    lease = Lease(20)
    await watched(send, lease)(request_)
    assert lease.valid() is valid, name


@pytest.mark.parametrize("error_code", [22, 25, 82])
async def test_the_lease_ends_at_once_when_the_group_does_not_know_us(error_code: int) -> None:
    async def send(request: Any) -> Any:
        return SimpleNamespace(error_code=error_code)

    lease = Lease(20)
    lease.renew(lease.now())
    await watched(send, lease)(HEARTBEAT)
    assert not lease.valid()


@pytest.mark.parametrize(
    ("name", "request_", "refused", "error_code"),
    [
        ("a share that fits", SYNC, False, 0),
        ("a share that does not fit", SYNC, True, 27),
        ("a heartbeat", HEARTBEAT, True, 0),
    ],
)
async def test_the_client_joins_again_for(name: str, request_: Any, refused: bool, error_code: int) -> None:
    async def send(request: Any) -> Any:
        return SimpleNamespace(error_code=0, member_assignment=b"share")

    async def refuses(share: bytes) -> bool:
        return refused and share == b"share"

    assert (await watched(send, Lease(20), refuses)(request_)).error_code == error_code, name


async def test_the_lease_counts_from_before_the_request() -> None:
    clock = SimpleNamespace(now=100.0)
    lease = Lease(20, max_loop_lag_s=1e9, clock=lambda: clock.now)

    async def send(request: Any) -> Any:
        clock.now += 15
        return SimpleNamespace(error_code=0)

    await watched(send, lease)(HEARTBEAT)
    assert lease.age_s() == 15


async def test_what_fails_on_the_way_renews_nothing() -> None:
    async def send(request: Any) -> Any:
        raise ConnectionError

    lease = Lease(20)
    with pytest.raises(ConnectionError):
        await watched(send, lease)(HEARTBEAT)
    assert not lease.valid()
