from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.twin.rig import Caller, Hook, settings
from twin.server import Twin


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    async with Hook() as hook:
        yield hook


@pytest.fixture
async def twin(hook: Hook) -> AsyncIterator[Twin]:
    """On a virtual clock; what people write goes to the hook's /twilio/inbound."""
    async with Twin(settings(inbound_url=hook.url("/twilio/inbound"))) as twin:
        yield twin


@pytest.fixture
def caller(twin: Twin) -> Caller:
    return Caller(twin)
