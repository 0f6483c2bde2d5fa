"""What `comms.control` means for policy, as plain data for `Facts`: apps that may not send now, and lanes that new
messages had better avoid."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

from schemas.records import Control, ControlSubject
from streams.control.backlogs import Backlog, Backlogs
from streams.control.days import is_reopening
from streams.control.switches import Switches, is_backlog

from .config import Sender


@dataclass(frozen=True, slots=True)
class Switched:
    """What is in force at one moment.

    Attributes:
        paused_apps: the pause of each app that an operator has paused; their messages wait.
        unhealthy: lanes that are paused, or in trouble until its next probe, themselves or by their group or account.
            They are avoided where another sender fits; otherwise their messages wait in dispatch.
        refused: lanes that Twilio refuses for one country, each with that, until the lane is tried again for it.
            Avoided in the same way.
        failing: lanes of which too many messages fail for the sender's sake, and what was counted.
        backlogs: how far lanes are behind, as dispatch told it lately.
        days_reopened_at: when an operator last opened a brand's day at a carrier again, epoch milliseconds UTC; 0:
            never.
    """

    paused_apps: Mapping[str, Control] = field(default_factory=dict)
    unhealthy: frozenset[str] = frozenset()
    refused: frozenset[tuple[str, str]] = frozenset()
    failing: Mapping[str, str] = field(default_factory=dict)
    backlogs: Mapping[str, Backlog] = field(default_factory=dict)
    days_reopened_at: int = 0


class Switchboard:
    """Belongs to one event loop; `take` fits `ControlTail`.

    Args:
        senders: all that are configured.
        now_ms: epoch milliseconds; a pause may end by itself.
    """

    def __init__(self, senders: Iterable[Sender], *, now_ms: Callable[[], int]) -> None:
        self.switches = Switches()
        self._backlogs = Backlogs()
        self._senders = tuple(senders)
        self._now_ms = now_ms
        self._in_force = Switched()
        self._next_ms: int | None = None
        self._reopened_at = 0

    def take(self, key: bytes, record: Control | None) -> None:
        """A record of comms.control."""
        if is_backlog(key):
            self._backlogs.take(key, record)
            self._in_force = replace(self._in_force, backlogs=self._backlogs.by_lane)
        elif is_reopening(key):
            # Never less, and also when that day is over: who came again by it must do so if it is delivered once more.
            self._reopened_at = max(self._reopened_at, 0 if record is None else record.at)
            self._in_force = replace(self._in_force, days_reopened_at=self._reopened_at)
        else:
            self.switches.take(key, record)
            self._look()

    def in_force(self) -> Switched:
        """What holds now; cheap, so that every decision can ask."""
        if self._next_ms is not None and self._next_ms <= self._now_ms():
            self._look()
        return self._in_force

    def _look(self) -> None:
        now_ms = self._now_ms()
        self._next_ms = self.switches.next_end_ms(now_ms)
        self._in_force = Switched(
            self.switches.paused_apps(now_ms),
            frozenset(sender.lane for sender in self._senders if self._is_held(sender, now_ms)),
            self._refused(now_ms),
            self._failing(now_ms),
            self._backlogs.by_lane,
            self._reopened_at,
        )

    def _refused(self, now_ms: int) -> frozenset[tuple[str, str]]:
        found = self.switches.refused_countries()
        return frozenset((lane, country) for lane, country, met in found if _lasts(met, now_ms))

    def _failing(self, now_ms: int) -> dict[str, str]:
        records = ((sender.lane, self.switches.failing(sender.lane, now_ms)) for sender in self._senders)
        return {lane: record.reason or "" for lane, record in records if record is not None}

    def _is_troubled(self, kind: ControlSubject, name: str, now_ms: int) -> bool:
        met = self.switches.trouble(kind, name)
        return met is not None and _lasts(met, now_ms)

    def _is_held(self, sender: Sender, now_ms: int) -> bool:
        places = (
            (ControlSubject.LANE, sender.lane),
            (ControlSubject.GROUP, sender.group),
            (ControlSubject.ACCOUNT, sender.account),
        )
        return any(
            self.switches.paused(kind, name, now_ms) is not None or self._is_troubled(kind, name, now_ms)
            for kind, name in places
        )


def _lasts(met: Control, now_ms: int) -> bool:
    # At the next probe somebody must be sent there, or nobody would ever find out that it is over.
    return met.until is None or met.until > now_ms
