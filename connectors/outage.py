"""Trouble with a dependency as an operator wants to hear of it: once when it begins, once when it ends, and in health
all the time between."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime

import structlog

from connectors.health import Health

_log = structlog.get_logger(__name__)


class Outage:
    """Whether one dependency can be reached. Not thread-safe: one loop tells and asks.

    Args:
        what: name of the dependency, as an operator knows it.
        clock: monotonic seconds, for durations.
        now_s: epoch seconds, for the moment shown to people.
    """

    def __init__(
        self, what: str, *, clock: Callable[[], float] = time.monotonic, now_s: Callable[[], float] = time.time
    ) -> None:
        self._what = what
        self._clock = clock
        self._now_s = now_s
        self._began_at: float | None = None
        self._since = ""
        self._why = ""

    @property
    def over(self) -> bool:
        """The dependency can be reached, as far as we know."""
        return self._began_at is None

    def began(self, why: str) -> None:
        """Tell that it failed. Repeating this only replaces the reason shown by `health`."""
        self._why = why
        if self._began_at is None:
            self._began_at = self._clock()
            self._since = datetime.fromtimestamp(self._now_s(), UTC).strftime("%H:%M:%SZ")
            _log.warning("dependency away", what=self._what, why=why)

    def ended(self) -> None:
        """Tell that it answers. Nothing happens unless an outage had begun."""
        if self._began_at is not None:
            _log.info("dependency back", what=self._what, after_s=round(self._clock() - self._began_at, 1))
            self._began_at = None

    def health(self) -> Health:
        """For the readiness check."""
        if self._began_at is None:
            return Health(True)
        away_s = self._clock() - self._began_at
        return Health(False, f"{self._what} away since {self._since} ({away_s:.0f} s): {self._why}")
