"""Trouble with Twilio as operators and other processes hear of it: said once when it begins and once when it ends,
shown all the time between. Trouble that has a code of Twilio's stands on comms.control, so that all processes obey it,
also those that start later."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from connectors.health import Health
from schemas.records import Control, ControlSubject, Stage
from streams.control.trouble import trouble, trouble_over

from . import metrics
from .verdict import Pause, Paused

log = structlog.get_logger(__name__)

SUBJECTS = {
    Paused.LANE: ControlSubject.LANE,
    Paused.ACCOUNT: ControlSubject.ACCOUNT,
    Paused.COUNTRY: ControlSubject.LANE,
}
LONGER_BY_MS = 500
"""Trouble is written again when its next probe has moved so far."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """One lane or account that is held, or a lane for one country.

    Attributes:
        why: the last error, in words.
        fix: what to do about it; empty when it passes by itself.
        since: monotonic seconds.
        code: Twilio's error code; None where Twilio could not be asked.
        meaning: Twilio's title of the code.
        until_ms: next probe, epoch milliseconds UTC.
        by: the stage that met it.
    """

    why: str
    fix: str
    since: float
    code: int | None = None
    meaning: str = ""
    until_ms: int = 0
    by: str = Stage.DISPATCH.value


def why_of(record: Control) -> str:
    """What a record of trouble says, in words."""
    return f"{record.error_code}: {record.reason}" if record.error_code is not None else record.reason or ""


class Troubles:
    """All of them, by (lane, account or country; name).

    Args:
        clock: monotonic seconds.
        now_ms: epoch milliseconds.
        write: puts a record on comms.control; must not wait.
    """

    def __init__(self, clock: Callable[[], float], now_ms: Callable[[], int], write: Callable[[Control], None]) -> None:
        self._clock = clock
        self._now_ms = now_ms
        self._write = write
        self._open: dict[tuple[Paused, str], Trouble] = {}

    def began(self, name: str, pause: Pause, wait_s: float) -> None:
        """A lane or account is held here for so long. Repeating this replaces what is shown, and is written down again
        only when the next probe has moved."""
        key = (pause.what, name)
        known = self._open.get(key)
        now_ms = self._now_ms()
        until_ms = now_ms + int(wait_s * 1000)
        since = known.since if known else self._clock()
        self._open[key] = Trouble(pause.why, pause.fix, since, pause.code, pause.meaning, until_ms)
        if known is None or known.code != pause.code:
            metrics.troubles(pause.what.value, name, str(pause.code or "")).inc()
            say = log.error if pause.fix else log.warning
            say(
                "held",
                what=pause.what.value,
                name=name,
                code=pause.code,
                meaning=pause.meaning or None,
                why=pause.why,
                fix=pause.fix or None,
            )
        moved = known is None or known.code is None or until_ms - known.until_ms > LONGER_BY_MS
        if pause.code is not None and moved:
            self._write(
                trouble(
                    SUBJECTS[pause.what],
                    name,
                    code=pause.code,
                    why=pause.meaning,
                    fix=pause.fix,
                    by=Stage.DISPATCH,
                    at=now_ms,
                    until=until_ms,
                )
            )

    def heard(self, what: Paused, name: str, record: Control) -> None:
        """Somebody (this process, too) has written that a lane or account is in trouble."""
        known = self._open.get((what, name))
        if known is not None and known.until_ms >= (record.until or 0):
            return
        why = why_of(record)
        since = known.since if known else self._clock()
        self._open[what, name] = Trouble(
            why, record.fix or "", since, record.error_code, record.reason or "", record.until or 0, record.by
        )
        if known is None:
            log.warning(
                "held", what=what.value, name=name, code=record.error_code, why=why, fix=record.fix, by=record.by
            )

    def ended(self, what: Paused, name: str) -> None:
        """It works again. Nothing happens unless trouble had begun."""
        known = self.over(what, name)
        if known is not None and known.code is not None:
            self._write(trouble_over(SUBJECTS[what], name, by=Stage.DISPATCH, at=self._now_ms()))

    def over(self, what: Paused, name: str) -> Trouble | None:
        """Somebody has written that it works again. Returns what was known here."""
        known = self._open.pop((what, name), None)
        if known is not None:
            log.info("works again", what=what.value, name=name, after_s=round(self._clock() - known.since, 1))
        return known

    def forget(self) -> None:
        """The lanes are another process's to look after."""
        self._open.clear()

    def of(self, what: Paused, name: str) -> Trouble | None:
        """What holds a lane or account, if anything."""
        return self._open.get((what, name))

    def health(self) -> Health:
        """Not ok while an account is held; held lanes are told, too."""
        told = [
            f"{what.value} {name}: {trouble.why}" + (f" ({trouble.fix})" if trouble.fix else "")
            for (what, name), trouble in self._open.items()
        ]
        return Health(not any(what is Paused.ACCOUNT for what, _ in self._open), "; ".join(told))
