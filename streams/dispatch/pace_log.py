"""How much of each lane's pace its predecessor has used up, by the INTENTs that it left. Pure.

An INTENT is written at most a second before its POST, so the debt by the INTENTs' times and one second more is never
less than the true one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from schemas.records import Attempt, AttemptKind
from streams.control.switches import LOWEST_RATE

from .bucket import Bucket
from .lanes import LaneTable
from .look import INTENT_VALID_MS
from .scheduler import Scheduler

LARGEST_MESSAGE = 24
"""Segments of the largest text that Twilio takes: 1,600 UCS-2 characters, 67 in each segment."""
LOOK_BACK_MIN_S, LOOK_BACK_MAX_S = 60.0, LARGEST_MESSAGE / LOWEST_RATE
"""How far the log is read back for this. Far enough for the largest message of the slowest lane, so that where no
INTENT is found nothing is owed."""


Granted = tuple[str, str]
"""(group, carrier)."""
Name = TypeVar("Name", str, Granted)


@dataclass(frozen=True, slots=True)
class Rates:
    """Segments per second, an operator's changes included.

    Attributes:
        lanes, groups, budgets: by name; only groups and budgets with a rate of their own.
        carriers: what single carriers grant, by group and carrier.
    """

    lanes: Mapping[str, float]
    groups: Mapping[str, float]
    budgets: Mapping[str, float]
    carriers: Mapping[Granted, float] = field(default_factory=dict)

    @classmethod
    def in_force(cls, scheduler: Scheduler) -> Rates:
        """Those that a scheduler paces by."""
        return cls(
            {name: lane.pace.bucket.rate for name, lane in scheduler.lanes.items()},
            {name: group.pace.bucket.rate for name, group in scheduler.groups.items()},
            {name: budget.pace.bucket.rate for name, budget in scheduler.budgets.items()},
            {granted: carrier.pace.bucket.rate for granted, carrier in scheduler.carriers.items()},
        )


Places = Callable[[str], Collection[int]]
"""Partitions on which a group lies or has lain of late."""


def look_back_s(table: LaneTable, rates: Rates, partition: int, places: Places = lambda group: ()) -> float:
    """How far back the INTENTs of a partition's lanes matter, in seconds; also of those that are leaving it."""
    lanes = [
        lane
        for lane in table.lanes.values()
        if partition == table.groups[lane.group].partition or partition in places(lane.group)
    ]
    groups = [table.groups[lane.group] for lane in lanes]
    of_lanes = [rates.lanes[lane.name] for lane in lanes]
    of_groups = [rates.groups[group.name] for group in groups if group.name in rates.groups]
    of_budgets = [rate for group in groups if (rate := rates.budgets.get(group.budget or "")) is not None]
    names = {group.name for group in groups}
    of_carriers = [rate for (group, _), rate in rates.carriers.items() if group in names]
    slowest = min((*of_lanes, *of_groups, *of_budgets, *of_carriers), default=1.0)
    needed = LARGEST_MESSAGE / slowest + INTENT_VALID_MS / 1000
    return min(LOOK_BACK_MAX_S, max(LOOK_BACK_MIN_S, needed))


class _Debt:
    __slots__ = ("largest", "paid_at_ms", "rate")

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.paid_at_ms = float("-inf")
        self.largest = 1

    def charge(self, segments: int, at_ms: int) -> None:
        self.largest = max(self.largest, segments)
        self.paid_at_ms = max(self.paid_at_ms, at_ms) + 1000.0 * segments / self.rate


class PaceLog:
    """Folds INTENTs, in the order of the log."""

    def __init__(self, table: LaneTable, rates: Rates) -> None:
        self._table = table
        self._rates = rates
        self._lanes: dict[str, _Debt] = {}
        self._groups: dict[str, _Debt] = {}
        self._budgets: dict[str, _Debt] = {}
        self._carriers: dict[Granted, _Debt] = {}

    def add(self, record: Attempt) -> None:
        """Take a record in; only INTENTs of configured lanes count."""
        lane = self._table.lanes.get(record.lane)
        if record.kind is not AttemptKind.INTENT or lane is None:
            return
        _charge_debt(self._lanes, lane.name, self._rates.lanes, record)
        _charge_debt(self._groups, lane.group, self._rates.groups, record)
        _charge_debt(self._budgets, self._table.groups[lane.group].budget, self._rates.budgets, record)
        if record.carrier is not None:
            _charge_debt(self._carriers, (lane.group, record.carrier), self._rates.carriers, record)

    def hand_over(self, scheduler: Scheduler, now: float, now_ms: int) -> None:
        """Charge the scheduler's buckets. `now` and `now_ms` are one moment on its clock and on the wall."""
        for name, debt in self._lanes.items():
            _charge(scheduler.lanes[name].pace.bucket, debt, now, now_ms)
        for name, debt in self._groups.items():
            _charge(scheduler.groups[name].pace.bucket, debt, now, now_ms)
        for name, debt in self._budgets.items():
            _charge(scheduler.budgets[name].pace.bucket, debt, now, now_ms)
        for granted, debt in self._carriers.items():
            _charge(scheduler.carriers[granted].pace.bucket, debt, now, now_ms)


def _charge_debt(debts: dict[Name, _Debt], name: Name | None, rates: Mapping[Name, float], intent: Attempt) -> None:
    if name is None or name not in rates:
        return
    debt = debts.get(name)
    if debt is None:
        debt = debts[name] = _Debt(rates[name])
    debt.charge(intent.segments, intent.at)


def _charge(bucket: Bucket, debt: _Debt, now: float, now_ms: int) -> None:
    owed_s = (debt.paid_at_ms - now_ms) / 1000.0
    # No true debt is longer than its largest message; a longer one comes from a clock that is ahead of ours.
    owed_s = min(owed_s, debt.largest / debt.rate)
    if owed_s > 0.0:
        owed_s *= debt.rate / bucket.rate  # an operator may have changed the rate while the log was read
    bucket.hand_over(now + owed_s + INTENT_VALID_MS / 1000.0, debt.largest)
