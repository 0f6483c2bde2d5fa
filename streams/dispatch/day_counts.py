"""Tells on `comms.control` how much of what carriers take of brands a day is used up, so that a successor counts on
from there, and hears what was told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import structlog

from schemas.records import Control
from streams.control.day_caps import Capped, day_count_key

from .day_caps import DayCaps

log = structlog.get_logger(__name__)

EVERY_MS = 2_000
"""How often a count that changes is told: a successor reads so much more of the log than for the pace alone."""


class DayCounts:
    """All methods belong to the event loop of the scheduler.

    Args:
        ends: by partition, how far the attempts log was read or acknowledged.
        write: publishes a record under a key.
        now_ms: epoch milliseconds.
    """

    def __init__(
        self,
        day_caps: DayCaps,
        *,
        ends: Callable[[], Mapping[int, int]],
        write: Callable[[bytes, Control], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._day_caps = day_caps
        self._ends = ends
        self._write = write
        self._now_ms = now_ms
        self._next_ms = 0
        self._logged: dict[Capped, int] = {}

    def take(self, key: bytes, record: Control | None) -> bool:
        """A record of comms.control. Whether it was one about a day of a carrier's."""
        return self._day_caps.take(key, record)

    def turn(self) -> None:
        """Tell what has changed; called twice a second while this process may act."""
        now_ms = self._now_ms()
        if now_ms < self._next_ms:
            return
        self._next_ms = now_ms + EVERY_MS
        for capped, record in self._day_caps.to_tell(self._ends(), now_ms):
            self._write(day_count_key(capped), record)
        for capped, state in self._day_caps.states(now_ms, self._ends()).items():
            if state.waits_until is None:
                if self._logged.pop(capped, 0) > now_ms:
                    log.info(
                        "a carrier takes a brand's messages again before its day ends",
                        budget=capped[0],
                        carrier=capped[1],
                        used=state.used,
                        reopened_at=state.reopened_at,
                    )
            elif self._logged.get(capped) != state.waits_until:
                self._logged[capped] = state.waits_until
                log.warning(
                    "a carrier takes no more of a brand today; its messages wait",
                    budget=capped[0],
                    carrier=capped[1],
                    used=state.used,
                    per_day=state.per_day,
                    until=state.waits_until,
                    said_by_twilio=state.said_by_twilio,
                )

    def show(self) -> list[dict[str, Any]]:
        """The state as plain values, ready for JSON: segments, times in epoch milliseconds."""
        return [
            {
                "budget": budget,
                "carrier": carrier,
                "used": state.used,
                "per_day": state.per_day,
                "kept_for_critical": state.kept_for_critical,
                "waits_until": state.waits_until,
                "said_by_twilio": state.said_by_twilio,
                "reopened_at": state.reopened_at,
            }
            for (budget, carrier), state in self._day_caps.states(self._now_ms(), self._ends()).items()
        ]
