"""What dispatch will not hold, so that nobody who shares a partition is stalled: it goes back to policy, and comes
again a minute later, what is for a carrier that is full at the pace of that carrier.

Three things can hold a partition up. Two fill its window. A **group** among others may hold its own part of it, and a
**carrier** that limits a group a part of that; what comes beyond is refused at arrival. What an **operator holds** (a
paused app; a paused lane, while another lane of the partition is open) may fill half of it; beyond that the newest are
given back, for nobody knows how long a pause lasts.

The third pins it: others finish behind a **message that waits long** (a slow lane's, a held one's, a retry), until so
many are delivered beyond it that a crash would send the work of minutes round again, and the partition stands still.
Before that the oldest that wait are given back.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable

from connectors.kafka.topic_partition import TP
from schemas.records import Dispatch

from .jobs import Job, JobState
from .lanes import LaneTable
from .scheduler import Scheduler
from .tenure import Tenure

HELD_PART = 2
"""What is held by an operator may fill one such part of a window: the rest is enough to keep the others going."""


class Overflow:
    """All methods belong to the event loop of the scheduler.

    Args:
        give_back: takes a job that was withdrawn from the scheduler.
        span: of a partition of a class, the offset that may be committed, and how many records were delivered at or
            above it.
    """

    def __init__(
        self,
        table: LaneTable,
        scheduler: Scheduler,
        tenure: Tenure,
        *,
        give_back: Callable[[Job], None],
        span: Callable[[TP], tuple[int, int]],
    ) -> None:
        self._table = table
        self._scheduler = scheduler
        self._pauses = scheduler.pauses
        self._tenure = tenure
        self._give_back = give_back
        self._span = span

    def is_full(self, order: Dispatch, tp: TP) -> bool:
        """Whether the group of a message that comes from there holds its part already, or its carrier's of it."""
        quota = self._table.quota(order.group)
        if quota is not None and self._tenure.count(tp, order.group) >= quota:
            return True
        if order.carrier is None:
            return False
        part = self._table.part_of(order.group, order.carrier)
        return part is not None and self._tenure.count_for(tp, order.group, order.carrier) >= part

    def sweep(self, partitions: Iterable[TP]) -> None:
        """Give back what a pause keeps too much of, and what pins one of the served partitions of the classes; called
        twice a second."""
        if self._tenure.closing or not self._tenure.generation:
            return
        self._unpin(partitions)
        if self._pauses.holds_any:
            self._make_room()

    def _unpin(self, partitions: Iterable[TP]) -> None:
        oldest: dict[TP, int] = {}
        for tp in partitions:
            first, delivered = self._span(tp)
            if delivered > self._table.held(tp.partition) // HELD_PART:
                oldest[tp] = first + delivered // HELD_PART
        if not oldest:
            return
        for job in list(self._tenure.held.values()):
            places = (record.message for record in job.records)
            if any(place.offset < oldest.get(place.tp, 0) for place in places) and self._scheduler.withdraw(job):
                self._give_back(job)
        self._scheduler.forget_withdrawn()

    def _make_room(self) -> None:
        stalling: dict[TP, list[Job]] = defaultdict(list)
        open_partitions: dict[int, bool] = {}
        for job in self._tenure.held.values():
            if job.state in (JobState.WAITING, JobState.DELAYED) and self._stalls(job, open_partitions):
                stalling[job.place[0]].append(job)
        for tp, jobs in stalling.items():
            keep = self._table.window(tp.partition) // HELD_PART
            for job in sorted(jobs, key=lambda each: each.sequence)[keep:]:
                if self._scheduler.withdraw(job):
                    self._give_back(job)
        if stalling:
            self._scheduler.forget_withdrawn()

    def _stalls(self, job: Job, open_partitions: dict[int, bool]) -> bool:
        if not self._pauses.holds(job):
            return False
        if not self._pauses.holds_lane(job.order.lane):
            return True  # its app is paused; others use the lane
        partition = job.place[0].partition
        if partition not in open_partitions:
            open_partitions[partition] = any(
                not self._pauses.holds_lane(lane.name) for lane in self._table.lanes_of(partition)
            )
        return open_partitions[partition]
