"""What the scheduler remembers of a Twilio account."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .breaker import FOREVER, Breaker
from .concurrency import Concurrency
from .jobs import Job
from .shared_budget import Parking
from .shares import CLASSES, CRITICAL, DEFAULT_SHARES, ClassShares

if TYPE_CHECKING:
    from .lane_state import LaneState

_RANKS = range(len(CLASSES))


class AccountState:
    """One Twilio account: its slots, its breaker, and the lanes that could start right now.

    Attributes:
        planned: jobs in preparation, prepared or in flight.
        ready: lanes whose next message may start, by its rank.
    """

    __slots__ = ("breaker", "concurrency", "name", "parking", "planned", "ready", "shares", "wake_at")

    def __init__(
        self, name: str, concurrency: Concurrency, breaker: Breaker, shares: Sequence[float] = DEFAULT_SHARES
    ) -> None:
        self.name = name
        self.concurrency = concurrency
        self.breaker = breaker
        self.parking = Parking(ClassShares(shares))
        self.planned = 0
        self.ready: list[deque[LaneState]] = [deque() for _ in _RANKS]
        self.shares = ClassShares(shares)
        self.wake_at = FOREVER

    @property
    def plan_limit(self) -> int:
        """Jobs that may be planned: the slots, and a few more so that a freed slot finds a job whose INTENT is
        written (an INTENT takes 2-7 ms, a POST 50-150 ms)."""
        slots = self.concurrency.slots
        return slots + slots // 4 + 4

    def may_plan(self, rank: int, now: float) -> bool:
        """Whether one more job may be planned."""
        if not self.breaker.closed and (self.breaker.opens_at > now or self.planned > 0):
            return False
        limit = self.plan_limit
        if rank == CRITICAL:
            limit += max(1, self.concurrency.slots // 10)
        return self.planned < limit

    def may_start_any(self, now: float) -> bool:
        """Whether the breaker lets something start now."""
        breaker = self.breaker
        return breaker.closed or (breaker.opens_at <= now and self.concurrency.in_flight == 0)

    def list_ready(self, lane: LaneState, rank: int) -> None:
        """A lane's next message, of this rank, may start now."""
        if not lane.ready_ranks & (1 << rank):
            lane.ready_ranks |= 1 << rank
            self.ready[rank].append(lane)

    def take_ready(self, rank: int) -> LaneState:
        """The lane whose turn it is."""
        lane = self.ready[rank].popleft()
        lane.ready_ranks &= ~(1 << rank)
        return lane

    def start(self, job: Job) -> None:
        """A job starts."""
        heads = [1 if lanes else 0 for lanes in self.ready]
        heads[job.rank] = 1
        self.shares.served(job.rank, 1, heads)
        self.concurrency.started()

    def clear(self) -> None:
        """Nothing is held any more; what is in flight stays so."""
        self.parking.clear()
        self.planned = self.concurrency.in_flight
        for lanes in self.ready:
            lanes.clear()
        self.wake_at = FOREVER

    def choose(self) -> int | None:
        """Rank of the ready lane to serve, slots considered."""
        ready = self.ready
        if not self.concurrency.room(critical=False):
            return CRITICAL if ready[CRITICAL] and self.concurrency.room(critical=True) else None
        heads = [1 if lanes else 0 for lanes in ready]
        # Where one class alone is ready there is nothing to choose, and that is how it mostly is.
        return heads.index(1) if sum(heads) == 1 else self.shares.choose(heads)
