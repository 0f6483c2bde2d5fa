"""Waiting for something that tells nobody when it happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_INTERVAL_S = 0.02


async def until(condition: Callable[[], object], timeout_s: float = 60.0, what: str = "") -> None:
    """Return once the condition holds. Raises AssertionError when it takes too long."""
    deadline = time.monotonic() + timeout_s
    while True:
        if condition():
            return
        assert time.monotonic() < deadline, f"waited {timeout_s} s in vain{': ' + what if what else ''}"
        await asyncio.sleep(_INTERVAL_S)


def wait_until(condition: Callable[[], object], what: str, *, within_s: float = 60.0, every_s: float = 0.2) -> None:
    """The same for tests without a loop."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {within_s} s in vain for {what}"
        time.sleep(every_s)
