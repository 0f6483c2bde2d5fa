"""When what a lane holds will have left: pure, from the scheduler's state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf

from .lane_state import LaneState
from .scheduler import Scheduler
from .shared_budget import SharedBudget
from .shares import CLASSES


@dataclass(frozen=True, slots=True)
class Outlook:
    """One lane.

    Attributes:
        segments: waiting or prepared.
        eta_s: seconds until they have left, at the rate of the lane and of what it shares, and of the slowest carrier;
            infinity while the lane or its account is paused.
    """

    segments: int
    eta_s: float


def outlooks(scheduler: Scheduler) -> dict[str, Outlook]:
    """By lane. What waits in Kafka behind the delivery window is not counted."""
    segments = {name: _segments(lane) for name, lane in scheduler.lanes.items()}
    of_budget: dict[SharedBudget, int] = defaultdict(int)
    for name, lane in scheduler.lanes.items():
        for budget in lane.budgets:
            of_budget[budget] += segments[name]
        for carrier in lane.carriers.values():
            of_budget[carrier] += lane.waiting_for(carrier)
    for carrier in scheduler.carriers.values():
        of_budget[carrier] += sum(carrier.pace.ahead)
    return {
        name: Outlook(segments[name], _eta_s(lane, segments[name], of_budget)) for name, lane in scheduler.lanes.items()
    }


def eta_s_of(lane: LaneState, rank: int) -> float:
    """Seconds until what one lane holds of a class and those before it has left at its own rate, however long it is
    paused."""
    return _segments(lane, rank) / lane.pace.bucket.rate


def _segments(lane: LaneState, rank: int = len(CLASSES) - 1) -> int:
    return sum(queue.segments for queue in lane.waiting[: rank + 1]) + sum(lane.pace.ahead[: rank + 1])


def _eta_s(lane: LaneState, segments: int, of_budget: Mapping[SharedBudget, int]) -> float:
    if not segments:
        return 0.0
    if lane.breaker.paused or lane.account.breaker.paused:
        return inf
    alone_s = segments / lane.pace.bucket.rate
    shared = (*lane.budgets, *lane.carriers.values())
    return max([alone_s, *(of_budget[budget] / budget.pace.bucket.rate for budget in shared)])
