"""The state of all lanes for people: what waits, how fast it goes, what holds it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import isinf
from typing import Any

from schemas.records import Control

from .outlook import Outlook, outlooks
from .scheduler import Scheduler
from .shares import CLASSES
from .troubles import Trouble, Troubles
from .verdict import Paused

SAMPLE_EVERY_S = 0.5
WINDOW_S = 3.0
"""Over so many seconds "now" is taken: short enough to look live, long enough for a sender of one a second."""


class LaneView:
    """Answers `/lanes`. `sample` must be called every `SAMPLE_EVERY_S`."""

    def __init__(
        self,
        scheduler: Scheduler,
        troubles: Troubles,
        *,
        owns: Callable[[str], bool],
        clock: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        """`owns` tells whether this process serves a lane's partition now."""
        self._scheduler = scheduler
        self._troubles = troubles
        self._owns = owns
        self._clock = clock
        self._now_ms = now_ms
        self.pause_of: Callable[[str], Control | None] = lambda lane: None
        self.day_caps: Callable[[], list[dict[str, Any]]] = list
        self._samples: deque[tuple[float, dict[str, int]]] = deque(maxlen=int(WINDOW_S / SAMPLE_EVERY_S) + 1)

    def sample(self) -> None:
        """Note what each lane has started so far."""
        started = {name: lane.started_segments for name, lane in self._scheduler.lanes.items()}
        self._samples.append((self._clock(), started))

    def sending(self, lane: str) -> float:
        """Segments per second over the last few seconds."""
        if len(self._samples) < 2:
            return 0.0
        (begin, before), (end, after) = self._samples[0], self._samples[-1]
        return (after[lane] - before[lane]) / (end - begin) if end > begin else 0.0

    def show(self) -> dict[str, Any]:
        """The state as plain values, ready for JSON. Rates in segments per second, times in epoch milliseconds; `eta_s`
        is null while it has no end."""
        return {
            "at": self._now_ms(),
            "lanes": [self._lane(name, outlook) for name, outlook in outlooks(self._scheduler).items()],
            "accounts": [self._account(name) for name in self._scheduler.accounts],
            "day_caps": self.day_caps(),
        }

    def _lane(self, name: str, outlook: Outlook) -> dict[str, Any]:
        state = self._scheduler.lanes[name]
        rate, sending = state.pace.bucket.rate, self.sending(name)
        return {
            "lane": name,
            "group": state.lane.group,
            "partition": self._scheduler.table.partition_of(name),
            "account": state.lane.account,
            "served_here": self._owns(name),
            "rate": rate,
            "sending": round(sending, 2),
            "utilisation": round(sending / rate, 3),
            "queued": {message_class.value: state.backlog(rank) for rank, message_class in enumerate(CLASSES)},
            "queued_segments": outlook.segments,
            "eta_s": None if isinf(outlook.eta_s) else round(outlook.eta_s, 1),
            "in_flight": state.in_flight,
            "started": state.started_messages,
            "started_segments": state.started_segments,
            "held": _told(self._troubles.of(Paused.LANE, name)),
            "refused_countries": {
                country: _told(self._troubles.of(Paused.COUNTRY, refused.name))
                for lane, country, refused in self._scheduler.pauses.countries
                if lane == name and refused.marked
            },
            "paused": _switched(self.pause_of(name)),
        }

    def _account(self, name: str) -> dict[str, Any]:
        state = self._scheduler.accounts[name]
        return {
            "account": name,
            "in_flight": state.concurrency.in_flight,
            "slots": state.concurrency.slots,
            "reported": state.concurrency.reported,
            "held": _told(self._troubles.of(Paused.ACCOUNT, name)),
        }


def _told(trouble: Trouble | None) -> dict[str, Any] | None:
    if trouble is None:
        return None
    told = {"why": trouble.why, "fix": trouble.fix, "code": trouble.code, "meaning": trouble.meaning}
    return told | {"next_probe": trouble.until_ms, "by": trouble.by}


def _switched(pause: Control | None) -> dict[str, Any] | None:
    if pause is None:
        return None
    subject = f"{pause.subject_kind.value} {pause.subject}"
    return {"subject": subject, "by": pause.by, "reason": pause.reason, "since": pause.at, "until": pause.until}
