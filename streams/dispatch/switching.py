"""Applies the switches of `comms.control` to the scheduler, as they are written and as they end."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from schemas.records import Control, ControlSubject
from streams.control.switches import Switches

from .scheduler import Scheduler

log = structlog.get_logger(__name__)


class Switching:
    """All methods belong to the event loop of the scheduler.

    Args:
        stirred: told when the scheduler was changed.
        now_ms: epoch milliseconds; `until` is a time on the wall.
    """

    def __init__(self, scheduler: Scheduler, *, stirred: Callable[[], None], now_ms: Callable[[], int]) -> None:
        self.switches = Switches()
        self._scheduler = scheduler
        self._stirred = stirred
        self._now_ms = now_ms
        self._next_ms: int | None = None

    def take(self, key: bytes, record: Control | None) -> None:
        """A record of comms.control."""
        if record is not None:
            log.info(
                "switch",
                subject=f"{record.subject_kind.value} {record.subject}",
                action=record.action.value,
                by=record.by,
                reason=record.reason,
            )
        self.switches.take(key, record)
        self._apply()

    def turn(self) -> None:
        """Look whether a switch has ended by itself; called twice a second."""
        if self._next_ms is not None and self._next_ms <= self._now_ms():
            self._apply()

    def pause_of(self, lane: str) -> Control | None:
        """The operator's pause that holds a lane: its own, its group's or its account's."""
        configured, now_ms = self._scheduler.lanes[lane].lane, self._now_ms()
        return (
            self.switches.paused(ControlSubject.LANE, lane, now_ms)
            or self.switches.paused(ControlSubject.GROUP, configured.group, now_ms)
            or self.switches.paused(ControlSubject.ACCOUNT, configured.account, now_ms)
        )

    def _apply(self) -> None:
        now_ms, switches, scheduler = self._now_ms(), self.switches, self._scheduler
        for name, account in scheduler.accounts.items():
            account.breaker.paused = switches.paused(ControlSubject.ACCOUNT, name, now_ms) is not None
        for name, group in scheduler.groups.items():
            budget = scheduler.table.groups[name].rate
            assert budget is not None  # only groups with a budget have a state
            group.pace.bucket.rate = switches.rate(ControlSubject.GROUP, name, now_ms) or budget
        for name, lane in scheduler.lanes.items():
            configured = lane.lane
            lane.breaker.paused = (
                switches.paused(ControlSubject.LANE, name, now_ms) is not None
                or switches.paused(ControlSubject.GROUP, configured.group, now_ms) is not None
            )
            lane.pace.bucket.rate = switches.rate(ControlSubject.LANE, name, now_ms) or configured.rate
        scheduler.hold_apps(switches.paused_apps(now_ms))
        self._next_ms = switches.next_end_ms(now_ms)
        scheduler.stir()
        self._stirred()
