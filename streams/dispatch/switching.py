"""Applies the switches of `comms.control` to the scheduler, as they are written and as they end."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from schemas.records import Control, ControlSubject
from streams.control.health import is_health
from streams.control.switches import Switches

from .breaker import Breaker
from .scheduler import Scheduler
from .troubles import SUBJECTS, Troubles, why_of
from .verdict import Pause, Paused

log = structlog.get_logger(__name__)

CLEARED_WITHIN_S = 1.0
"""The end of trouble ends the pause that began with it, up to the rounding of clocks; a later pause has its own
record."""


class Switching:
    """All methods belong to the event loop of the scheduler.

    Args:
        troubles: told of trouble that others have met.
        clock: monotonic seconds.
        stirred: told when the scheduler was changed.
        now_ms: epoch milliseconds; `until` is a time on the wall.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        troubles: Troubles,
        stirred: Callable[[], None],
        clock: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        self.switches = Switches()
        self._scheduler = scheduler
        self._troubles = troubles
        self._stirred = stirred
        self._clock = clock
        self._now_ms = now_ms
        self._next_ms: int | None = None
        self._held: dict[tuple[Paused, str], tuple[Control, float]] = {}
        self._countries: dict[tuple[str, str], tuple[Control, float]] = {}

    def take(self, key: bytes, record: Control | None) -> None:
        """A record of comms.control. That a lane's messages fail is for policy to know, and holds nothing here."""
        if is_health(key):
            return
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

    def again(self) -> None:
        """Everything was dropped, pauses after trouble as well: those that stand hold again."""
        self._held.clear()
        self._countries.clear()
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
        now = self._clock()
        for name, account in scheduler.accounts.items():
            account.breaker.paused = switches.paused(ControlSubject.ACCOUNT, name, now_ms) is not None
        for name, group in scheduler.groups.items():
            budget = scheduler.table.groups[name].rate
            assert budget is not None  # only groups with a budget have a state
            group.pace.bucket.change(switches.rate(ControlSubject.GROUP, name, now_ms) or budget, now)
        for name, lane in scheduler.lanes.items():
            configured = lane.lane
            lane.breaker.paused = (
                switches.paused(ControlSubject.LANE, name, now_ms) is not None
                or switches.paused(ControlSubject.GROUP, configured.group, now_ms) is not None
            )
            lane.pace.bucket.change(switches.rate(ControlSubject.LANE, name, now_ms) or configured.rate, now)
        for lane_name, lane in scheduler.lanes.items():
            self._obey_trouble(Paused.LANE, lane_name, lane.breaker, scheduler.pauses.hold_lane)
        for account_name, account in scheduler.accounts.items():
            self._obey_trouble(Paused.ACCOUNT, account_name, account.breaker, scheduler.pauses.hold_account)
        self._obey_countries()
        scheduler.hold_apps(frozenset(switches.paused_apps(now_ms)))
        self._next_ms = switches.next_end_ms(now_ms)
        scheduler.stir()
        self._stirred()

    def _obey_trouble(
        self, what: Paused, name: str, breaker: Breaker, hold: Callable[[str, float, float, str], None]
    ) -> None:
        record, held = self.switches.trouble(SUBJECTS[what], name), self._held.get((what, name))
        if record is None:
            if held is not None:
                del self._held[what, name]
                self._troubles.over(what, name)
                if breaker.open_until <= held[1] + CLEARED_WITHIN_S:
                    breaker.reset()
            return
        if held is not None and held[0] is record:
            return
        until, waited_s = self._span(record)
        self._held[what, name] = (record, until)
        hold(name, until, waited_s, record.reason or "")
        self._troubles.heard(what, name, record)

    def _obey_countries(self) -> None:
        """What is refused for a country, here or elsewhere, is known to whoever gets the lane."""
        countries = self._scheduler.pauses.countries
        found = {(lane, country): record for lane, country, record in self.switches.refused_countries()}
        for place in self._countries.keys() - found.keys():
            record, until = self._countries.pop(place)
            if countries.release(*place, until + CLEARED_WITHIN_S):
                self._troubles.over(Paused.COUNTRY, record.subject)
        for (lane, country), record in found.items():
            held = self._countries.get((lane, country))
            if lane not in self._scheduler.lanes or (held is not None and held[0] is record):
                continue
            until, waited_s = self._span(record)
            self._countries[lane, country] = (record, until)
            pause = Pause(
                Paused.COUNTRY, why_of(record), record.fix or "", code=record.error_code, meaning=record.reason or ""
            )
            countries.hold(lane, country, pause, until, waited_s, record.at)
            self._troubles.heard(Paused.COUNTRY, record.subject, record)

    def _span(self, record: Control) -> tuple[float, float]:
        """Until when trouble holds, monotonic seconds; and for how many seconds that was decided. It holds for no
        longer: what seems to be left is more where one of the clocks is wrong, or was set."""
        until_ms = record.until or record.at
        decided_s = max(0.0, (until_ms - record.at) / 1000)
        return self._clock() + min((until_ms - self._now_ms()) / 1000, decided_s), decided_s
