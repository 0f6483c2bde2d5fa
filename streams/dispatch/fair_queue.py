"""Waiting messages of one class in one lane: fair between apps, earliest deadline first inside an app."""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from .jobs import Job, JobState


class _App:
    __slots__ = ("jobs", "name", "queued", "turn")

    def __init__(self, name: str) -> None:
        self.name = name
        self.jobs: list[tuple[int, int, Job]] = []
        self.turn = 0.0
        self.queued = False


class FairQueue:
    """Apps take turns by segments: the app that was served fewest since it became backlogged is next, so that one app
    with a million texts, or with very long ones, cannot hold up another. An app that was idle gains no credit by it.

    A job that leaves otherwise (expired) is only marked: the caller sets its state and calls `discard`.
    """

    __slots__ = ("_apps", "_served_turn", "_turns", "count", "segments")

    def __init__(self) -> None:
        self._apps: dict[str, _App] = {}
        self._turns: list[tuple[float, str]] = []
        self._served_turn = 0.0
        self.count = 0
        self.segments = 0

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Job]:
        """All jobs, in no order."""
        for app in self._apps.values():
            for _, _, job in app.jobs:
                if job.state is JobState.WAITING:
                    yield job

    def push(self, job: Job) -> None:
        """Take a job in; its state is `WAITING` and its sequence number unique."""
        name = job.order.app
        app = self._apps.get(name)
        if app is None:
            app = self._apps[name] = _App(name)
        heapq.heappush(app.jobs, (job.deadline, job.sequence, job))
        self.count += 1
        self.segments += job.segments
        if not app.queued:
            app.queued = True
            app.turn = max(app.turn, self._served_turn)
            heapq.heappush(self._turns, (app.turn, name))

    def head(self) -> Job | None:
        """The job that `pop` would return."""
        while self._turns:
            app = self._apps[self._turns[0][1]]
            jobs = app.jobs
            while jobs and jobs[0][2].state is not JobState.WAITING:
                heapq.heappop(jobs)
            if jobs:
                return jobs[0][2]
            heapq.heappop(self._turns)
            app.queued = False
        return None

    def pop(self) -> Job | None:
        """Take the next job out; None when empty."""
        job = self.head()
        if job is None:
            return None
        app = self._apps[self._turns[0][1]]
        heapq.heappop(app.jobs)
        self._served_turn = app.turn
        app.turn += job.segments
        if app.jobs:
            heapq.heapreplace(self._turns, (app.turn, app.name))
        else:
            heapq.heappop(self._turns)
            app.queued = False
        self.count -= 1
        self.segments -= job.segments
        return job

    def discard(self, job: Job) -> None:
        """A waiting job of this queue left otherwise; its state is no longer `WAITING`."""
        self.count -= 1
        self.segments -= job.segments
