"""When a message that is admitted now could leave its lane at the earliest: pure, from the scheduler's state and from
what lies unread in Kafka.

It is a lower bound, for policy denies by it: who is denied could not have been sent.

* What lies unread in the partition, of the message's own class, must be read first, whosesoever it is. That goes as
  fast as room is made: at the rate of the partition's lanes, or faster where it is seen to (expired messages, or those
  of a paused app, make room without being sent).
* Of higher classes, what is unread and what is held counts; beside them a backlogged class keeps its share.
* Of its own class, what is held does not count: inside a class apps take turns, and the earliest deadline goes first.
* Lower classes do not count, nor what will come later, nor that a lane is paused: nobody knows how long.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from schemas.records import MessageClass

from .lane_state import LaneState
from .scheduler import Scheduler
from .shared_budget import SharedBudget
from .shares import AGED_FACTOR, CLASSES

_RANKS = range(len(CLASSES))


class Unread(NamedTuple):
    """What lies in Kafka behind what was taken, in one partition of one class.

    Attributes:
        records: how many.
        per_s: how many were taken lately, per second.
    """

    records: int
    per_s: float


def etas(scheduler: Scheduler, unread: Mapping[tuple[int, int], Unread]) -> dict[str, dict[MessageClass, float]]:
    """Seconds by class, for each lane; a class that need not wait is left out.

    Args:
        unread: by partition and rank of the class; where it is not known, nothing.
    """
    partitions: dict[int, list[LaneState]] = defaultdict(list)
    for name, lane in scheduler.lanes.items():
        partitions[scheduler.table.partition_of(name)].append(lane)
    found: dict[str, dict[MessageClass, float]] = {}
    for partition, lanes in partitions.items():
        reading = [_reading_s(unread.get((partition, rank)), rank, lanes) for rank in _RANKS]
        for lane in lanes:
            waits = _waits(reading, _held([lane]), lane.pace.bucket.rate, lane.shares.shares)
            for budget in lane.budgets:
                held = _held([each for each in lanes if budget in each.budgets])
                waits = list(
                    map(max, waits, _waits(reading, held, budget.pace.bucket.rate, budget.parking.shares.shares))
                )
            found[lane.lane.name] = {CLASSES[rank]: wait_s for rank, wait_s in enumerate(waits) if wait_s > 0}
    return found


def _waits(reading: Sequence[float], held: Sequence[int], rate: float, shares: Sequence[float]) -> list[float]:
    waits = []
    higher_s = 0.0
    for rank in _RANKS:
        alone_s, share = reading[rank], min(1.0, shares[rank] * AGED_FACTOR)
        behind_all_s = higher_s + alone_s
        waits.append(min(behind_all_s, alone_s / share) if share > 0 else behind_all_s)
        higher_s = behind_all_s + held[rank] / rate
    return waits


def _reading_s(unread: Unread | None, rank: int, lanes: Sequence[LaneState]) -> float:
    """How long it takes until what is unread was taken."""
    if unread is None or not unread.records:
        return 0.0
    count = sum(lane.waiting[rank].count for lane in lanes)
    segments = sum(lane.waiting[rank].segments for lane in lanes)
    # What is unread is as long, on average, as what is held.
    per_s = _rate(lanes) * count / segments if segments else _rate(lanes)
    return unread.records / max(per_s, unread.per_s)


def _rate(lanes: Sequence[LaneState]) -> float:
    """Segments per second of all lanes of a partition together."""
    together: dict[tuple[SharedBudget, ...], float] = defaultdict(float)
    for lane in lanes:
        together[lane.budgets] += lane.pace.bucket.rate
    # From the narrowest budget outwards: what shares one has no more than it.
    for depth in range(max(map(len, together), default=0), 0, -1):
        for budgets in [each for each in together if len(each) == depth]:
            together[budgets[1:]] += min(together.pop(budgets), budgets[0].pace.bucket.rate)
    return together[()]


def _held(lanes: Sequence[LaneState]) -> list[int]:
    """Segments held, by rank."""
    return [sum(lane.waiting[rank].segments + lane.pace.ahead[rank] for lane in lanes) for rank in _RANKS]
