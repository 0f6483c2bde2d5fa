"""The fold of `comms.control`: which lanes, groups, accounts and apps are paused, and at which rate they go. Pure.

The topic is compacted, so a key holds one thing only: an operator's pause, a rate, and trouble that a stage met are
written under keys of their own. Otherwise a new rate would end a pause, and the end of trouble an operator's pause.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from math import inf

from schemas.records import Control, ControlAction, ControlSubject

LOWEST_RATE = 0.001
"""Segments per second, one in 17 minutes: who wants less wants a pause."""


class Aspect(StrEnum):
    """What of a subject a key is about; its value ends the key, that of `PAUSE` leaves it `subject_kind:subject`."""

    PAUSE = ""
    RATE = ":rate"
    TROUBLE = ":trouble"
    PLACE = ":place"
    BACKLOG = ":backlog"
    HEALTH = ":health"
    COUNT = ":count"
    DAY = ":day"


_WITHIN = "@"
"""Between a lane and a country, and between a budget and a carrier; no configured name has it."""
_BACKLOG = Aspect.BACKLOG.value.encode()
_TROUBLE = Aspect.TROUBLE.value.encode()
_COUNT = Aspect.COUNT.value.encode()


def control_key(kind: ControlSubject, subject: str, aspect: Aspect) -> bytes:
    """Key of a record on comms.control."""
    return f"{kind.value}:{subject}{aspect.value}".encode()


def at_country(lane: str, country: str) -> str:
    """Subject of what is said of a lane and one country (ISO 3166 alpha-2)."""
    return f"{lane}{_WITHIN}{country}"


def lane_of(subject: str) -> str:
    """The lane that a subject names, alone or with a country."""
    return subject.partition(_WITHIN)[0]


def is_backlog(key: bytes) -> bool:
    """Whether a record of this key tells how far a lane is behind."""
    return key.endswith(_BACKLOG)


class Switches:
    """What is in force. A record of a key replaces the one before it; a tombstone removes it."""

    def __init__(self) -> None:
        self._records: dict[bytes, Control] = {}

    def take(self, key: bytes, record: Control | None) -> None:
        """Fold one record in, in the order of the log. Backlogs and counts are no switches: others take them."""
        if is_backlog(key) or key.endswith(_COUNT):
            return
        if record is None or record.action in (ControlAction.CLEAR, ControlAction.RESUME):
            self._records.pop(key, None)
        else:
            self._records[key] = record

    def paused(self, kind: ControlSubject, subject: str, now_ms: int) -> Control | None:
        """The operator's pause of a subject, unless it has ended by itself."""
        found = self._find(kind, subject, Aspect.PAUSE, now_ms)
        return found if found is not None and found.action is ControlAction.PAUSE else None

    def rate(self, kind: ControlSubject, subject: str, now_ms: int) -> float | None:
        """Changed rate in segments per second; None leaves the configured one. One that is none is no change, and one
        that is too low is the lowest."""
        found = self._find(kind, subject, Aspect.RATE, now_ms)
        if found is None or found.rate is None or not 0 < found.rate < inf:
            return None
        return max(found.rate, LOWEST_RATE)

    def trouble(self, kind: ControlSubject, subject: str) -> Control | None:
        """The error that holds a subject. Its `until` is the next probe; trouble lasts until something worked."""
        return self._records.get(control_key(kind, subject, Aspect.TROUBLE))

    def refused_countries(self) -> Iterator[tuple[str, str, Control]]:
        """Lane, country and record of each country for which Twilio refuses a lane. Its `until` is the next attempt."""
        for key, record in self._records.items():
            if record.subject_kind is ControlSubject.LANE and key.endswith(_TROUBLE):
                lane, within, country = record.subject.partition(_WITHIN)
                if within:
                    yield lane, country, record

    def failing(self, lane: str, now_ms: int) -> Control | None:
        """That too many of a lane's messages fail for its sender's sake (`health`), until it is over."""
        return self._find(ControlSubject.LANE, lane, Aspect.HEALTH, now_ms)

    def place(self, group: str) -> Control | None:
        """Where a pacing group was last known to lie (`MOVE_DONE`), or its move (`MOVE_BEGIN`)."""
        return self._records.get(control_key(ControlSubject.GROUP, group, Aspect.PLACE))

    def paused_apps(self, now_ms: int) -> dict[str, Control]:
        """The pause of each app that is paused, by its name."""
        names = {each.subject for each in self._records.values() if each.subject_kind is ControlSubject.APP}
        pauses = ((name, self.paused(ControlSubject.APP, name, now_ms)) for name in names)
        return {name: pause for name, pause in pauses if pause is not None}

    def in_force(self, now_ms: int) -> Iterator[Control]:
        """Every pause, rate, trouble and move, for people; all that holds or changes something."""
        for key, record in sorted(self._records.items()):
            if record.action is ControlAction.MOVE_DONE or key.endswith(Aspect.HEALTH.value.encode()):
                continue
            # Of a country or a carrier nobody may ever ask again.
            lasts = key.endswith(_TROUBLE) and _WITHIN not in record.subject
            if lasts or not _over(record, now_ms):
                yield record

    def next_end_ms(self, now_ms: int) -> int | None:
        """When the next of them ends by itself, epoch milliseconds."""
        ends = [each.until for each in self._records.values() if each.until is not None and each.until > now_ms]
        return min(ends, default=None)

    def _find(self, kind: ControlSubject, subject: str, aspect: Aspect, now_ms: int) -> Control | None:
        found = self._records.get(control_key(kind, subject, aspect))
        return None if found is None or _over(found, now_ms) else found


def _over(record: Control, now_ms: int) -> bool:
    return record.until is not None and record.until <= now_ms
