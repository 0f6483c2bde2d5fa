"""Trouble with Twilio as an operator hears of it: said once when it begins and once when it ends, shown all the time
between."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from connectors.health import Health

from .verdict import Pause, Paused

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One lane or account that is held.

    Attributes:
        why: the last error, in words.
        fix: what to do about it; empty when it passes by itself.
        since: monotonic seconds.
    """

    why: str
    fix: str
    since: float


class Troubles:
    """All of them, by (lane or account, name)."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._open: dict[tuple[Paused, str], Trouble] = {}

    def began(self, name: str, pause: Pause) -> None:
        """A lane or account is held. Repeating this only replaces the reason shown."""
        key = (pause.what, name)
        known = self._open.get(key)
        self._open[key] = Trouble(pause.why, pause.fix, known.since if known else self._clock())
        if known is None:
            say = log.error if pause.fix else log.warning
            say("held", what=pause.what.value, name=name, why=pause.why, fix=pause.fix or None)

    def ended(self, what: Paused, name: str) -> None:
        """It works again. Nothing happens unless trouble had begun."""
        known = self._open.pop((what, name), None)
        if known is not None:
            log.info("works again", what=what.value, name=name, after_s=round(self._clock() - known.since, 1))

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
