"""What lanes share, and how they wait for it: the budget of a group, of several, and of a carrier."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .breaker import FOREVER
from .bucket import AHEAD_S, ALL_THE_ROOM, Bucket
from .shares import CLASSES, CRITICAL, ClassShares

if TYPE_CHECKING:
    from .lane_state import LaneState

_RANKS = range(len(CLASSES))


class Parking:
    """Lanes that wait for something they share; let out class by class, in turn inside a class."""

    __slots__ = ("count", "lanes", "shares")

    def __init__(self, shares: ClassShares) -> None:
        self.lanes: list[deque[LaneState]] = [deque() for _ in _RANKS]
        self.shares = shares
        self.count = 0

    def park(self, lane: LaneState, rank: int) -> None:
        """Let a lane wait here for its class; once per class."""
        bit = 1 << rank
        if lane.parked.get(self, 0) & bit:
            return
        lane.parked[self] = lane.parked.get(self, 0) | bit
        self.count += 1
        self.lanes[rank].append(lane)

    def heads(self, but: int = -1) -> list[int]:
        """1 for each class of which a lane waits (and for class `but`), by rank."""
        return [1 if lanes or rank == but else 0 for rank, lanes in enumerate(self.lanes)]

    def choose(self, *, only_critical: bool = False) -> int | None:
        """Class whose first lane is let out next; None when none waits."""
        if only_critical:
            return CRITICAL if self.lanes[CRITICAL] else None
        return self.shares.choose(self.heads())

    def take(self, rank: int) -> LaneState:
        """Let the first lane of a class out."""
        lane = self.lanes[rank].popleft()
        lane.parked[self] &= ~(1 << rank)
        self.count -= 1
        return lane

    def to_front(self, lane: LaneState) -> None:
        """A lane that was let out in vain, and waits again, keeps its place."""
        for lanes in self.lanes:
            if lanes and lanes[-1] is lane:
                lanes.rotate(1)

    def clear(self) -> None:
        """Forget everything that waits."""
        for lanes in self.lanes:
            lanes.clear()
        self.count = 0


class Pace:
    """A bucket, and what has been planned but not charged yet, by rank."""

    __slots__ = ("ahead", "bucket")

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.ahead = [0] * len(CLASSES)

    def slot(self, rank: int, segments: int, urgent: bool, now: float) -> float:
        """Estimated start of a message that would be planned now: behind everything planned of its own and better
        classes; one that is owed goes before all of them."""
        planned = 0 if urgent and rank != CRITICAL else sum(self.ahead[: rank + 1])
        return max(now, self.due(segments, urgent)) + planned / self.bucket.rate

    def due(self, segments: int, urgent: bool) -> float:
        """Earliest start of a message that would start next."""
        return self.bucket.due(segments, ALL_THE_ROOM if urgent else AHEAD_S)


class SharedBudget:
    """A budget that lanes share: a pacing group's, or a wider one of several groups."""

    __slots__ = ("name", "pace", "parking", "wake_at")

    def __init__(self, name: str, rate: float, shares: ClassShares) -> None:
        self.name = name
        self.pace = Pace(Bucket(rate))
        self.parking = Parking(shares)
        self.wake_at = FOREVER

    def clear(self) -> None:
        """Nothing is held any more."""
        self.pace.ahead = [0] * len(CLASSES)
        self.parking.clear()
        self.wake_at = FOREVER


class CarrierBudget(SharedBudget):
    """What one carrier grants a pacing group. A lane that waits here goes on with what it has for others.

    Attributes:
        carrier: our name for it.
    """

    __slots__ = ("_back_at", "carrier")

    def __init__(self, group: str, carrier: str, rate: float, shares: ClassShares) -> None:
        super().__init__(f"{group} {carrier}", rate, shares)
        self.carrier = carrier
        self._back_at = [-FOREVER] * len(CLASSES)

    def back_in_s(self, rank: int, segments: int, now: float, at_least_s: float) -> float:
        """In how many seconds a message is to come back that cannot be held here: one after the other, at the pace at
        which they can be sent, or all that was given back would be given back again and again; but not behind those of
        lower classes."""
        at = max(now + at_least_s, *self._back_at[: rank + 1])
        self._back_at[rank] = at + segments / self.pace.bucket.rate
        return at - now
