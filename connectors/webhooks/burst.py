"""Log lines for what strangers can cause as often as they like: one when it begins, one when it is over."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

_log = structlog.get_logger(__name__)

QUIET_S = 60.0
"""A burst is over when nothing happened for so long."""


class Burst:
    """Tells a run of equal events as two lines: the first event with its details, and at the end how many there were.

    Belongs to the running loop.
    """

    def __init__(self, event: str, quiet_s: float = QUIET_S) -> None:
        self._event = event
        self._quiet_s = quiet_s
        self._count = 0
        self._last_s = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def happened(self, **details: Any) -> None:
        """Tell one event; only the first of a burst is logged, with these details."""
        loop = asyncio.get_running_loop()
        self._count += 1
        self._last_s = loop.time()
        if self._timer is None:
            _log.warning(self._event, **details)
            self._timer = loop.call_later(self._quiet_s, self._look)

    def close(self) -> None:
        """End the burst now, if there is one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            _log.warning(f"{self._event}: over", count=self._count)
            self._count = 0

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        quiet_until_s = self._last_s + self._quiet_s
        if loop.time() < quiet_until_s:
            self._timer = loop.call_at(quiet_until_s, self._look)
        else:
            self.close()
