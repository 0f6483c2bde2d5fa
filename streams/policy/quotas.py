"""How much each app may ask for, as far as one process of policy can tell.

A quota is the app's for the whole installation, and several processes serve the app's partitions without a common
count. So each process goes by its share: quota × partitions held ÷ all partitions. Recipients spread over the
partitions, so an app's requests do, too, whoever holds them. What an app may take of one lane is a quota of its own
(`Subject`).

* per second: one bucket for each app and process. What comes too fast is given a turn, one after the other at the rate
  of the share, so that uneven partitions of one process share the bucket. On average never more than the quota; within
  any second at most three times the share, and one request more for each process.
* per day: counted by partition, so that a count stays where its partition is. A share is what falls on the process on
  average and four standard deviations more, or an app that spends just its quota would be denied by the process that
  got more than average. All processes together let in at most the quota and those deviations; a process that holds all
  partitions exactly the quota. Counts are in the partition's state every few seconds, so that the next owner counts
  on; a crash loses those of the last seconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil, sqrt

from .config import Quota
from .wheel import SHORTEST_MS

DAY_MS = 86_400_000
DEVIATIONS = 4.0
"""Beyond four standard deviations lies one of 30,000 days."""


Subject = str | tuple[str, str]
"""Whose quota: an app's, or an app's on a lane."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What a quota says of one more request now.

    Attributes:
        wait_until: when it is its turn, epoch milliseconds UTC; None: now.
        day_over: the day's quota is used up.
    """

    wait_until: int | None = None
    day_over: bool = False


NOW = Turn()


class Quotas:
    """Belongs to one event loop. Between `ask` and `charge` for the same request lies no await.

    Args:
        quotas: by app, those of its lanes included; an app or lane that is not named is not limited.
        partitions: partitions of every topic that is keyed by recipient.
        clock: monotonic seconds; paces.
        now_ms: wall clock, epoch milliseconds UTC; begins the day and names the turn.
    """

    def __init__(
        self,
        quotas: Mapping[str, Quota],
        *,
        partitions: int,
        clock: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        self._quotas: dict[Subject, Quota] = {}
        self._lanes: dict[str, dict[str, Subject]] = {}
        for app, quota in quotas.items():
            self._quotas[app] = quota
            for lane, of_lane in quota.lanes.items():
                self._quotas[app, lane] = of_lane
                self._lanes.setdefault(app, {})[lane] = (app, lane)
        self._partitions = partitions
        self._clock = clock
        self._now_ms = now_ms
        self._held: frozenset[int] = frozenset()
        self._share = 1 / partitions
        self._paid_at: dict[Subject, float] = {}
        self._day = now_ms() // DAY_MS
        self._used: Counter[tuple[Subject, int]] = Counter()
        self._used_here: dict[Subject, int] = {}  # on the partitions held; summed up when it is asked for
        self._changed: set[tuple[Subject, int]] = set()

    def partitions_held(self, partitions: Iterable[int]) -> None:
        """These are served by this process from now on. Counts of a partition that comes back go on, unless its state
        knows better (`restore`)."""
        self._held = frozenset(partitions)
        self._share = max(1, len(self._held)) / self._partitions
        self._used_here.clear()

    def restore(self, partition: int, counts: Iterable[tuple[Subject, int, int]]) -> None:
        """What the owner before counted in a partition: subject, day, count. Those of another day are over."""
        self._begin_day(self._now_ms())
        for key in [key for key in self._used if key[1] == partition]:
            del self._used[key]
        for subject, day, used in counts:
            if day == self._day:
                self._used[subject, partition] = used
        self._used_here.clear()

    def changes(self) -> Mapping[int, list[tuple[Subject, int, int]]]:
        """Subject, day and count of what was charged since this was asked last, by partition."""
        found: dict[int, list[tuple[Subject, int, int]]] = {}
        for subject, partition in self._changed:
            found.setdefault(partition, []).append((subject, self._day, self._used[subject, partition]))
        self._changed.clear()
        return found

    def ask_lanes(self, app: str) -> Mapping[str, Turn]:
        """When it is the turn of one more message of the app on each lane where it has a quota; costs nothing."""
        lanes = self._lanes.get(app)
        return {} if lanes is None else {lane: self.ask(subject) for lane, subject in lanes.items()}

    def ask(self, app: Subject) -> Turn:
        """When it is the turn of one more request of the app (on a lane); costs nothing."""
        quota = self._quotas.get(app)
        if quota is None:
            return NOW
        now_ms = self._now_ms()
        if quota.per_day is not None and self._used_today(app, now_ms) >= self._allowance(quota.per_day):
            return Turn(day_over=True)
        if quota.per_second is None:
            return NOW
        rate = quota.per_second * self._share
        # A second's worth may come at once, at least one request.
        wait_s = self._paid_at.get(app, 0.0) - (max(1.0, rate) - 1) / rate - self._clock()
        # What waits goes over the wheel, whose shortest way this is; added to every wait, it keeps the distances.
        return NOW if wait_s <= 0 else Turn(wait_until=now_ms + ceil(wait_s * 1000) + SHORTEST_MS)

    def charge(self, app: Subject, partition: int) -> None:
        """A request of the app (on a lane) on this partition was let in, or was given the turn that `ask` named."""
        quota = self._quotas.get(app)
        if quota is None:
            return
        if quota.per_day is not None:
            self._begin_day(self._now_ms())
            self._used[app, partition] += 1
            if app in self._used_here and partition in self._held:
                self._used_here[app] += 1
            self._changed.add((app, partition))
        if quota.per_second is not None:
            paid_at = max(self._paid_at.get(app, 0.0), self._clock())
            self._paid_at[app] = paid_at + 1 / (quota.per_second * self._share)

    def _allowance(self, per_day: int) -> int:
        mean = per_day * self._share
        return min(per_day, ceil(mean + DEVIATIONS * sqrt(mean * (1 - self._share))))

    def _used_today(self, app: Subject, now_ms: int) -> int:
        self._begin_day(now_ms)
        used = self._used_here.get(app)
        if used is None:
            used = self._used_here[app] = sum(self._used[app, partition] for partition in self._held)
        return used

    def _begin_day(self, now_ms: int) -> None:
        if now_ms // DAY_MS > self._day:  # a clock that is put back does not begin the day again
            self._day = now_ms // DAY_MS
            self._used.clear()
            self._used_here.clear()
            self._changed.clear()
