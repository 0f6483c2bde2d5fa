"""Groups on their partitions, and on their way to another one: which records may be paced here, which wait until the
old place is empty, and which go back to policy."""

from __future__ import annotations

from collections.abc import Callable

from connectors.kafka.hooks import ConfigurationRefused
from schemas.reasons import Reason
from schemas.records import Control, ControlAction
from streams.control.places import Place, conflict, place_of
from streams.control.switches import Switches

from .jobs import Job
from .lanes import LaneTable
from .pace_log import LARGEST_MESSAGE
from .scheduler import Scheduler
from .tenure import Tenure


class PlacementChanged(ConfigurationRefused):
    """A group's partition number was changed without a move: two processes could pace it at once."""


class Moving:
    """All methods belong to the event loop of the scheduler.

    Args:
        give_back: takes a job that was withdrawn from the scheduler.
        serves: whether this process serves a partition.
        clock: monotonic seconds.
        now_ms: epoch milliseconds.
    """

    def __init__(
        self,
        table: LaneTable,
        switches: Switches,
        scheduler: Scheduler,
        tenure: Tenure,
        *,
        give_back: Callable[[Job], None],
        serves: Callable[[int], bool],
        clock: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        self._table = table
        self._switches = switches
        self._scheduler = scheduler
        self._tenure = tenure
        self._give_back = give_back
        self._serves = serves
        self._clock = clock
        self._now_ms = now_ms
        self._places: dict[str, Place] = {}  # asked for each record, and seldom another

    def place(self, group: str) -> Place:
        """Where a configured group lies."""
        place = self._places.get(group)
        if place is None:
            place = place_of(self._switches.place(group), self._table.groups[group].partition)
            self._places[group] = place
        return place

    def check(self) -> None:
        """Raises PlacementChanged where the configuration contradicts what was last known."""
        problems = [
            problem
            for name, group in self._table.groups.items()
            if (problem := conflict(name, self._switches.place(name), group.partition)) is not None
        ]
        problems += [
            f"budget {budget}: its group {group.name} moves, and two processes would pace it; "
            "configure the budget when the move is done"
            for budget in self._table.budgets
            if len(sharing := self._table.sharing(budget)) > 1
            for group in sharing
            if self.place(group.name).opening is not None
        ]
        if problems:
            raise PlacementChanged("; ".join(problems))

    def unknown(self) -> list[str]:
        """Groups served here whose place was never written down."""
        return [
            name
            for name, group in self._table.groups.items()
            if self._switches.place(name) is None and self._serves(group.partition)
        ]

    def leaving(self) -> dict[str, Place]:
        """Groups that leave a partition served here for the one that is configured here: policy was told before."""
        return {
            name: place
            for name, group in self._table.groups.items()
            if (place := self.place(name)).opening == group.partition and self._serves(place.home)
        }

    def take(self, record: Control | None) -> None:
        """A record of comms.control about a place was folded in."""
        self._places.clear()
        if record is None or record.subject not in self._table.groups:
            return
        group = record.subject
        place = self.place(group)
        if self._serves(place.home):
            self._owe(group, record)
        for job in [each for each in self._tenure.held.values() if each.order.group == group]:
            partition = job.place[0].partition
            if partition == place.opening or job.astray is not None:
                continue
            if partition != place.home:
                self._send_away(job)
            elif job.closed:
                job.closed = False
                self._scheduler.let_go(job)

    def owe(self) -> None:
        """Charge what old owners may have started last, for the groups that are served here now: the log of the place
        that they left is not read here."""
        for name in self._table.groups:
            record = self._switches.place(name)
            if record is not None and self._serves(self.place(name).home):
                self._owe(name, record)

    def _send_away(self, job: Job) -> None:
        job.astray = Reason.LANE_MOVED  # what is planned or under way goes when it comes back
        if self._scheduler.withdraw(job):
            self._give_back(job)

    def _owe(self, group: str, record: Control) -> None:
        """What the old owner started last is not known here: as if it were the largest message, when it said that the
        place is empty."""
        came_from = record.from_partition
        if record.action is not ControlAction.MOVE_DONE or came_from is None or self._serves(came_from):
            return
        # Nobody says that before it is so; a time that has not come yet is that of a clock which is ahead of ours.
        since_s = max(0.0, (self._now_ms() - record.at) / 1000)
        now = self._clock()
        lanes = [lane for lane in self._scheduler.lanes.values() if lane.lane.group == group]
        of_carriers = {carrier.pace.bucket for lane in lanes for carrier in lane.carriers.values()}
        for bucket in of_carriers.union(*(lane.buckets for lane in lanes)):
            left_s = LARGEST_MESSAGE / bucket.rate - since_s
            if left_s > 0:
                bucket.hand_over(now + left_s, LARGEST_MESSAGE)
