"""Waiting messages of one class in a lane whose campaign some carriers limit: as `FairQueue`, but what one carrier does
not let go now is passed over, whatever its number."""

from __future__ import annotations

import heapq
from collections.abc import Container, Iterator

from .jobs import Job, JobState

Carrier = str | None
"""A carrier with a rate of its own; None for everybody else."""


class _App:
    __slots__ = ("jobs", "name", "queued", "turn")

    def __init__(self, name: str) -> None:
        self.name = name
        self.jobs: dict[Carrier, list[tuple[int, int, Job]]] = {}
        self.turn = 0.0
        self.queued: set[Carrier] = set()


class CarrierQueue:
    """Apps take turns by segments and inside an app the earliest deadline goes first, among the messages whose carrier
    is open. An app has one turn, whatever carriers its messages are for.

    Each carrier has a heap of the apps' turns. An app that was served for one carrier stands in the others' heaps at an
    earlier turn than it has, which is mended when it gets to their top: O(log n) on average, times the carriers.

    Args:
        carriers: those with a rate of their own.
    """

    __slots__ = ("_apps", "_carriers", "_served_turn", "_turns", "count", "of", "segments")

    def __init__(self, carriers: Container[str]) -> None:
        self._carriers = carriers
        self._apps: dict[str, _App] = {}
        self._turns: dict[Carrier, list[tuple[float, str]]] = {}
        self._served_turn = 0.0
        self.count = 0
        self.segments = 0
        self.of: dict[Carrier, int] = {}
        """Segments that wait, by carrier."""

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Job]:
        """All jobs, in no order."""
        for app in self._apps.values():
            for jobs in app.jobs.values():
                for _, _, job in jobs:
                    if job.state is JobState.WAITING:
                        yield job

    def push(self, job: Job) -> None:
        """Take a job in; its state is `WAITING` and its sequence number unique."""
        name, carrier = job.order.app, self._carrier(job)
        app = self._apps.get(name)
        if app is None:
            app = self._apps[name] = _App(name)
        heapq.heappush(app.jobs.setdefault(carrier, []), (job.deadline, job.sequence, job))
        self._count(job, 1)
        if carrier not in app.queued:
            if not app.queued:
                app.turn = max(app.turn, self._served_turn)
            app.queued.add(carrier)
            heapq.heappush(self._turns.setdefault(carrier, []), (app.turn, name))

    def head(self, shut: Container[Carrier] = ()) -> Job | None:
        """The next job whose carrier is not among these."""
        best: tuple[float, str, int, int] | None = None
        found: Job | None = None
        for carrier in self._turns:
            if carrier in shut:
                continue
            top = self._top(carrier)
            if top is None:
                continue
            app, (deadline, sequence, job) = top
            place = (app.turn, app.name, deadline, sequence)
            if best is None or place < best:
                best, found = place, job
        return found

    def take(self, job: Job) -> None:
        """Take out what `head` returned."""
        carrier = self._carrier(job)
        top = self._top(carrier)
        assert top is not None
        assert top[1][2] is job, "only what `head` returned"
        app = top[0]
        jobs, turns = app.jobs[carrier], self._turns[carrier]
        heapq.heappop(jobs)
        self._served_turn = app.turn
        app.turn += job.segments
        if jobs:
            heapq.heapreplace(turns, (app.turn, app.name))
        else:
            heapq.heappop(turns)
            app.queued.discard(carrier)
        self._count(job, -1)

    def discard(self, job: Job) -> None:
        """A waiting job of this queue left otherwise; its state is no longer `WAITING`."""
        self._count(job, -1)

    def _carrier(self, job: Job) -> Carrier:
        carrier = job.order.carrier
        return carrier if carrier is not None and carrier in self._carriers else None

    def _count(self, job: Job, sign: int) -> None:
        self.count += sign
        self.segments += sign * job.segments
        carrier = self._carrier(job)
        self.of[carrier] = self.of.get(carrier, 0) + sign * job.segments

    def _top(self, carrier: Carrier) -> tuple[_App, tuple[int, int, Job]] | None:
        turns = self._turns.get(carrier)
        while turns:
            turn, name = turns[0]
            app = self._apps[name]
            jobs = app.jobs[carrier]
            while jobs and jobs[0][2].state is not JobState.WAITING:
                heapq.heappop(jobs)
            if not jobs:
                heapq.heappop(turns)
                app.queued.discard(carrier)
            elif turn != app.turn:
                heapq.heapreplace(turns, (app.turn, name))
            else:
                return app, jobs[0]
        return None
