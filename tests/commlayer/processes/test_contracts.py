"""A process waits for its registry, says so once, and goes on when it can."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from commlayer.processes import contracts
from commlayer.processes.contracts import Contracts
from schemas.codec import RegistryCodec, SingleObjectCodec
from schemas.loading import current
from schemas.records import Content, MessageRequest
from tests.support.fake_registry import FakeRegistry
from tests.support.waiting import until

REQUEST = MessageRequest(recipient="+14155550123", category="otp", content=Content(body="hello"), created_at=0)


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contracts, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(contracts, "LONGEST_PAUSE_S", 0.02)


async def test_without_a_registry_nothing_is_waited_for() -> None:
    each = Contracts(None)
    assert isinstance(each.codec, SingleObjectCodec)
    assert each.health().ok
    await each.prepare()


async def test_a_registry_that_is_away_is_waited_for_and_told_once() -> None:
    registry: Any = FakeRegistry()
    for one in current().values():
        registry.register(one)
    registry.down = True
    each = Contracts(registry)
    assert isinstance(each.codec, RegistryCodec)
    with capture_logs() as logs:
        preparing = asyncio.create_task(each.prepare())
        await until(lambda: "schema registry away since" in each.health().detail)
        await asyncio.sleep(0.2)  # many more questions
        assert not preparing.done()
        registry.down = False
        await preparing
    assert each.health().ok
    assert [line["event"] for line in logs] == ["dependency away", "dependency back"]
    assert each.codec.encode(REQUEST).startswith(b"\0")


async def test_schemas_that_are_not_registered_are_waited_for_with_the_fix_in_log_and_health() -> None:
    registry: Any = FakeRegistry()
    each = Contracts(registry)
    with capture_logs() as logs:
        preparing = asyncio.create_task(each.prepare())
        await until(lambda: "run `commlayer schemas register`" in each.health().detail)
        await asyncio.sleep(0.2)
        for one in current().values():
            registry.register(one)
        await preparing
    assert each.health().ok
    assert [line["event"] for line in logs] == ["waiting for schemas to be registered"]
