"""Messages of apps that an operator has paused: they wait aside, in no lane's way, until their app goes on."""

from __future__ import annotations

from .jobs import Job, JobState


class HeldApps:
    """By app. A job that leaves meanwhile (expired, withdrawn) is only passed over: its sequence number or its state
    tells."""

    __slots__ = ("_jobs",)

    def __init__(self) -> None:
        self._jobs: dict[str, list[tuple[int, Job]]] = {}

    def __bool__(self) -> bool:
        """Whether any app is paused."""
        return bool(self._jobs)

    def __contains__(self, app: str) -> bool:
        return app in self._jobs

    def put(self, job: Job) -> None:
        """Let a job of a paused app wait here."""
        job.state = JobState.DELAYED  # not in the heap of delays: `hold` lets it out
        self._jobs[job.order.app].append((job.sequence, job))

    def hold(self, names: frozenset[str]) -> list[Job]:
        """Hold these apps and no others. Returns the jobs of those that go on."""
        released = [jobs for name, jobs in self._jobs.items() if name not in names]
        self._jobs = {name: self._jobs.get(name, []) for name in names}
        return [job for jobs in released for sequence, job in jobs if _waits(job, sequence)]

    def forget_withdrawn(self) -> None:
        """Let go of what left while it waited here."""
        for name, jobs in self._jobs.items():
            self._jobs[name] = [(sequence, job) for sequence, job in jobs if _waits(job, sequence)]

    def clear(self) -> None:
        """Nothing waits; the apps stay paused."""
        for jobs in self._jobs.values():
            jobs.clear()


def _waits(job: Job, sequence: int) -> bool:
    return job.state is JobState.DELAYED and job.sequence == sequence
