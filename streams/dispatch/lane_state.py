"""What the scheduler remembers of a lane, a pacing group and an account."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from .breaker import FOREVER, Breaker
from .bucket import AHEAD_S, ALL_THE_ROOM, RESOLUTION_S, Bucket
from .concurrency import Concurrency
from .fair_queue import FairQueue
from .jobs import Job, JobState
from .lanes import Lane
from .shares import CLASSES, CRITICAL, DEFAULT_SHARES, ClassShares

AGED_AFTER_S: tuple[float, ...] = (FOREVER, 30.0, 120.0, 600.0)
"""A class whose next message has waited this long, by rank, is starved and earns its share faster."""
TURN_WITHIN_S = 0.5
"""A job that could not be written in its slot waits so long for another one, holding its connection. Then its INTENT is
about to be too old, and another attempt finds the connection in the pool."""
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


class LaneState:
    """One lane: what waits, what is prepared, what it may do next.

    Attributes:
        budgets: what it shares with others, the narrowest first.
        buckets: its own and those of its budgets; each start is charged to all of them.
    """

    __slots__ = (
        "account",
        "breaker",
        "buckets",
        "budgets",
        "dirty",
        "in_flight",
        "lane",
        "late",
        "late_until",
        "pace",
        "parked",
        "planned",
        "ready",
        "ready_ranks",
        "shares",
        "started_messages",
        "started_segments",
        "waiting",
        "wake_at",
    )

    def __init__(
        self,
        lane: Lane,
        account: AccountState,
        budgets: Sequence[SharedBudget],
        breaker: Breaker,
        shares: ClassShares,
    ) -> None:
        self.lane = lane
        self.account = account
        self.budgets = tuple(budgets)
        self.breaker = breaker
        self.shares = shares
        self.pace = Pace(Bucket(lane.rate))
        self.buckets = (self.pace.bucket, *(budget.pace.bucket for budget in self.budgets))
        self.waiting = [FairQueue() for _ in _RANKS]
        self.ready: list[deque[Job]] = [deque() for _ in _RANKS]
        self.ready_ranks = 0
        self.parked: dict[Parking, int] = {}
        self.planned = 0
        self.in_flight = 0
        self.late: Job | None = None
        self.late_until = 0.0
        self.wake_at = FOREVER
        self.dirty = False
        self.started_messages = 0
        self.started_segments = 0

    def to_plan(self) -> tuple[int, int, bool] | None:
        """(rank, segments, urgent) of the message to plan next; None when nothing waits. Urgent: critical, or owed to
        its class."""
        waiting = self.waiting
        heads = [0, 0, 0, 0]
        found = False
        for rank in _RANKS:
            if waiting[rank].count:
                head = waiting[rank].head()
                if head is not None:
                    heads[rank] = head.segments
                    found = True
        if not found:
            return None
        ahead = self.pace.ahead
        margin = ahead[0] + ahead[1] + ahead[2] + ahead[3]
        for rank in _RANKS:
            if not heads[rank]:
                continue
            for lower in range(rank + 1, len(heads)):
                if heads[lower] and not ahead[lower] and self.shares.is_owed(lower, heads[lower], margin):
                    return lower, heads[lower], True
            return rank, heads[rank], rank == CRITICAL
        return None

    def to_start(self) -> tuple[int, Job, bool] | None:
        """(rank, job, urgent) of the prepared message to start next; None when none is prepared."""
        ready = self.ready
        first: int | None = None
        for rank in _RANKS:
            jobs = ready[rank]
            while jobs and jobs[0].state is not JobState.PREPARED:
                jobs.popleft()
            if not jobs:
                continue
            if first is None:
                first = rank
            elif self.shares.is_owed(rank, jobs[0].segments):
                return rank, jobs[0], True
        return None if first is None else (first, ready[first][0], first == CRITICAL)

    def startable_at(self, job: Job, urgent: bool) -> float:
        """When a prepared message may start, by pace and breaker; in the past when it may now."""
        at = self.pace.due(job.segments, urgent)
        for budget in self.budgets:
            at = max(at, budget.pace.due(job.segments, urgent))
        if not self.breaker.closed:
            if self.in_flight:
                return FOREVER  # half-open: `ended` looks again
            at = max(at, self.breaker.opens_at)
        return at

    def backlog(self, rank: int) -> int:
        """Messages of a class that wait or are prepared."""
        return self.waiting[rank].count + len(self.ready[rank])

    @property
    def has_waiting(self) -> bool:
        """Whether messages wait to be planned."""
        return any(queue.count for queue in self.waiting)

    def plan(self, job: Job) -> None:
        """A job is planned: it takes room in the pace of the lane and of what it shares."""
        self.pace.ahead[job.rank] += job.segments
        for budget in self.budgets:
            budget.pace.ahead[job.rank] += job.segments

    def unplan(self, job: Job) -> None:
        """A planned job starts or leaves."""
        self.pace.ahead[job.rank] -= job.segments
        for budget in self.budgets:
            budget.pace.ahead[job.rank] -= job.segments

    def start(self, job: Job, now: float) -> None:
        """The head of the prepared jobs of its class starts: charge it, keep the shares' accounts."""
        heads = [0] * len(CLASSES)
        aged = [False] * len(CLASSES)
        for rank in _RANKS:
            ready, waiting = self.ready[rank], self.waiting[rank]
            head = ready[0] if ready else waiting.head() if waiting.count else None
            if head is not None:
                heads[rank] = head.segments
                aged[rank] = now - head.arrived > AGED_AFTER_S[rank]
        self.shares.served(job.rank, job.segments, heads, aged)
        self.ready[job.rank].popleft()
        self.unplan(job)
        self._charge(job, now)
        self.in_flight += 1
        self.started_messages += 1
        self.started_segments += job.segments

    def restart(self, job: Job, now: float) -> float | None:
        """A started job could not be written when it was charged. Returns when it may be (asked again then); None when
        that is too far away.

        Where nothing was charged since, or it is late by what nobody can tell, its place moves on to now. Else the pace
        has gone on without it: what it was charged is lost, like a slot that nobody used, and it takes the next one.
        One job of a lane at a time has taken such a slot; were they several, each that is woken late would lose its own
        to the others.
        """
        late_s = now - job.charged_at
        alone = job.paid == self._paid()
        if alone or late_s <= RESOLUTION_S:
            for each in self.buckets:
                if alone:
                    each.move(job.segments, now)
                else:
                    each.postpone(late_s)
            job.charged_at, job.paid = now, self._paid()
            if self.late is job:
                self.late = None
            return now
        first = self.late
        if first is not None and first is not job and first.charged_at > now:
            self.late_until = max(self.late_until, first.charged_at) + job.segments / self.pace.bucket.rate
            return self.late_until if self.late_until - now <= TURN_WITHIN_S else None
        at = max(now, *self._paid())
        if at - now > TURN_WITHIN_S:
            return None
        self._charge(job, at)
        self.late = job
        return at

    def _charge(self, job: Job, at: float) -> None:
        for bucket in self.buckets:
            bucket.charge(job.segments, at)
        job.charged_at, job.paid = at, self._paid()

    def _paid(self) -> tuple[float, ...]:
        if not self.budgets:
            return (self.pace.bucket.paid_at,)  # as with most lanes, and asked several times for each message
        return tuple([bucket.paid_at for bucket in self.buckets])

    def clear(self) -> None:
        """Nothing is held any more; what is in flight stays so."""
        self.waiting = [FairQueue() for _ in _RANKS]
        for jobs in self.ready:
            jobs.clear()
        self.ready_ranks = 0
        self.parked.clear()
        self.pace.ahead = [0] * len(CLASSES)
        self.planned = self.in_flight
        self.wake_at = FOREVER
        self.dirty = False
