"""Deadlines of everything held, so that what expires leaves at once, also from a paused lane."""

from __future__ import annotations

import heapq

from .jobs import Job, JobState

_SLACK = 1_000
"""Entries of jobs that have left are swept out when they outnumber the live ones by this many."""


class Expiry:
    """A heap of deadlines. Jobs that leave otherwise are only counted (`left`) and swept out later, so that every
    operation costs O(log n) on average and memory follows the number of jobs held."""

    __slots__ = ("_heap", "_live")

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Job]] = []
        self._live = 0

    def add(self, job: Job) -> None:
        """A job is held from now on."""
        heapq.heappush(self._heap, (job.deadline, job.sequence, job))
        self._live += 1

    def left(self) -> None:
        """One held job has left."""
        self._live -= 1
        if len(self._heap) > 2 * self._live + _SLACK:
            self._heap = [entry for entry in self._heap if _held(entry)]
            heapq.heapify(self._heap)

    def due(self, now_ms: int) -> list[Job]:
        """Jobs held whose deadline has passed. They stay counted as held; the caller takes them out."""
        due: list[Job] = []
        heap = self._heap
        while heap and heap[0][0] < now_ms:
            entry = heapq.heappop(heap)
            if _held(entry):
                due.append(entry[2])
        return due

    def next_ms(self) -> int | None:
        """The next deadline, epoch milliseconds; possibly of a job that has left."""
        return self._heap[0][0] if self._heap else None

    def clear(self) -> None:
        """Forget everything."""
        self._heap.clear()
        self._live = 0


def _held(entry: tuple[int, int, Job]) -> bool:
    job = entry[2]
    # A retry is a new entry with a new sequence number.
    return job.sequence == entry[1] and job.state <= JobState.PREPARED
