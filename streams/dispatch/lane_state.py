"""What the scheduler remembers of a lane: what waits, what is prepared, what it may do next."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from .account_state import AccountState
from .breaker import FOREVER, Breaker
from .bucket import RESOLUTION_S, Bucket
from .carrier_queue import CarrierQueue
from .company import Company
from .fair_queue import FairQueue
from .jobs import Job, JobState
from .lanes import Lane
from .shared_budget import CarrierBudget, Pace, Parking, SharedBudget
from .shares import CLASSES, CRITICAL, ClassShares

AGED_AFTER_S: tuple[float, ...] = (FOREVER, 30.0, 120.0, 600.0)
"""A class whose next message has waited this long, by rank, is starved and earns its share faster."""
TURN_WITHIN_S = 0.5
"""A job that could not be written in its slot waits so long for another one, holding its connection. Then its INTENT is
about to be too old, and another attempt finds the connection in the pool."""
_RANKS = range(len(CLASSES))


class LaneState:
    """One lane: what waits, what is prepared, what it may do next.

    Attributes:
        budgets: what it shares with others, the narrowest first.
        buckets: its own and those of its budgets; each start is charged to all of them, and to its carrier's.
        carriers: what single carriers grant its group; empty for most lanes.
        company: how long it waits for other lanes.
        tickets: by where it waited for a carrier, for which classes its turn came there when it could not use it (a bit
            for each): it waits behind nobody there until it has used that.
    """

    __slots__ = (
        "account",
        "breaker",
        "buckets",
        "budgets",
        "carriers",
        "company",
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
        "tickets",
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
        carriers: Mapping[str, CarrierBudget] | None = None,
    ) -> None:
        self.lane = lane
        self.account = account
        self.budgets = tuple(budgets)
        self.breaker = breaker
        self.shares = shares
        self.pace = Pace(Bucket(lane.rate))
        self.buckets = (self.pace.bucket, *(budget.pace.bucket for budget in self.budgets))
        self.carriers: Mapping[str, CarrierBudget] = carriers or {}
        self.company = Company()
        self.tickets: dict[Parking, int] = {}
        self.waiting = self._queues()
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

    def to_plan(self) -> tuple[int, Job, bool] | None:
        """(rank, job, urgent) of the message to plan next; None when nothing waits but for carriers. Urgent: critical,
        or owed to its class."""
        heads: list[Job | None] = [None, None, None, None]
        found = False
        for rank in _RANKS:
            if self.waiting[rank].count:
                head = heads[rank] = self._head(rank)
                found = found or head is not None
        if not found:
            return None
        ahead = self.pace.ahead
        margin = ahead[0] + ahead[1] + ahead[2] + ahead[3]
        for rank in _RANKS:
            first = heads[rank]
            if first is None:
                continue
            for lower in range(rank + 1, len(heads)):
                other = heads[lower]
                if other is not None and not ahead[lower] and self.shares.is_owed(lower, other.segments, margin):
                    return lower, other, True
            return rank, first, rank == CRITICAL
        return None

    def take(self, rank: int, job: Job) -> None:
        """Take out of the waiting what `to_plan` returned."""
        queue = self.waiting[rank]
        if isinstance(queue, CarrierQueue):
            queue.take(job)
        else:
            queue.pop()

    def to_start(self, now: float) -> tuple[int, Job, bool] | None:
        """(rank, job, urgent) of the prepared message to start next; None when none is prepared. Where a carrier does
        not let it start yet, the next one whose carrier does; where none does, the one that has to wait least."""
        first: int | None = None
        soonest: tuple[float, int, Job] | None = None
        for rank in _RANKS:
            jobs = self.ready[rank]
            while jobs and jobs[0].state is not JobState.PREPARED:
                jobs.popleft()
            if not jobs:
                continue
            head = jobs[0]
            if self.carriers:
                at, head = self._soonest(rank, now)
                if at > now:
                    if soonest is None or at < soonest[0]:
                        soonest = at, rank, head
                    continue
            if first is None:
                first, first_head = rank, head
            elif self.shares.is_owed(rank, head.segments):
                return rank, head, True
        if first is not None:
            return first, first_head, first == CRITICAL
        return None if soonest is None else (soonest[1], soonest[2], soonest[1] == CRITICAL)

    def carrier_of(self, job: Job) -> CarrierBudget | None:
        """What the carrier of a message grants, if that is limited."""
        carrier = job.order.carrier
        return self.carriers.get(carrier) if carrier is not None and self.carriers else None

    def waiting_for(self, carrier: CarrierBudget, rank: int = len(CLASSES) - 1) -> int:
        """Segments of a class and those before it that wait for a carrier, without what is prepared."""
        queues = self.waiting[: rank + 1]
        return sum(queue.of.get(carrier.carrier, 0) for queue in queues if isinstance(queue, CarrierQueue))

    def shuts(self, carrier: CarrierBudget, rank: int) -> bool:
        """Whether it waits for its turn at a carrier with this class."""
        return bool(self.parked.get(carrier.parking, 0) & (1 << rank))

    def has_ticket(self, carrier: CarrierBudget, rank: int) -> bool:
        """Whether its turn for this class came at a carrier when it could not use it."""
        return bool(self.tickets.get(carrier.parking, 0) & (1 << rank))

    def _head(self, rank: int) -> Job | None:
        queue = self.waiting[rank]
        if isinstance(queue, FairQueue):
            return queue.head()
        return queue.head([name for name, carrier in self.carriers.items() if self.shuts(carrier, rank)])

    def _soonest(self, rank: int, now: float) -> tuple[float, Job]:
        """The first prepared job of a class whose carrier lets it start, else the one that it lets start first; and
        when. It looks at no more than a lead holds, of which those wait whose carrier was asked for too much."""
        best_at, best = FOREVER, self.ready[rank][0]
        for job in self.ready[rank]:
            if job.state is JobState.PREPARED:
                carrier = self.carrier_of(job)
                at = now if carrier is None else carrier.pace.due(job.segments, rank == CRITICAL)
                if at <= now:
                    return at, job
                if at < best_at:
                    best_at, best = at, job
        return best_at, best

    def _queues(self) -> list[FairQueue] | list[CarrierQueue]:
        if self.carriers:
            return [CarrierQueue(self.carriers) for _ in _RANKS]
        return [FairQueue() for _ in _RANKS]

    def startable_at(self, job: Job, urgent: bool) -> float:
        """When a prepared message may start, by pace and breaker; in the past when it may now."""
        at = self.pace.due(job.segments, urgent)
        for budget in self.budgets:
            at = max(at, budget.pace.due(job.segments, urgent))
        carrier = self.carrier_of(job)
        if carrier is not None:
            at = max(at, carrier.pace.due(job.segments, urgent))
        if not self.breaker.closed:
            if self.in_flight:
                return FOREVER  # half-open: `ended` looks again
            at = max(at, self.breaker.opens_at)
        return at

    def offered_at(self, job: Job, urgent: bool, now: float) -> float:
        """When it is to start: at one of the moments of its rate, if it need not hurry and nothing is shared that
        others could use meanwhile."""
        at = self.startable_at(job, urgent)
        if urgent or self.budgets or self.carriers or not self.breaker.closed:
            return at
        return self.company.moment(at, self.pace.bucket.rate, now)

    def backlog(self, rank: int) -> int:
        """Messages of a class that wait or are prepared."""
        return self.waiting[rank].count + len(self.ready[rank])

    @property
    def has_waiting(self) -> bool:
        """Whether messages wait to be planned."""
        return any(queue.count for queue in self.waiting)

    def plan(self, job: Job) -> None:
        """A job is planned: it takes room in the pace of the lane and of what it shares."""
        self._ahead(job, job.segments)

    def unplan(self, job: Job) -> None:
        """A planned job starts or leaves."""
        self._ahead(job, -job.segments)

    def _ahead(self, job: Job, segments: int) -> None:
        self.pace.ahead[job.rank] += segments
        for budget in self.budgets:
            budget.pace.ahead[job.rank] += segments
        carrier = self.carrier_of(job)
        if carrier is not None:
            carrier.pace.ahead[job.rank] += segments

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
        self._leave_ready(job)
        self.unplan(job)
        self.company.started(max(job.arrived, self.pace.due(job.segments, False)), now)
        self._charge(job, now)
        self.in_flight += 1
        self.started_messages += 1
        self.started_segments += job.segments

    def _leave_ready(self, job: Job) -> None:
        jobs = self.ready[job.rank]
        if jobs[0] is job:
            jobs.popleft()
        else:
            jobs.remove(job)

    def restart(self, job: Job, now: float) -> float | None:
        """A started job could not be written when it was charged. Returns when it may be (asked again then); None when
        that is too far away.

        Where nothing was charged since, or it is late by what nobody can tell, its place moves on to now. Else the pace
        has gone on without it: what it was charged is lost, like a slot that nobody used, and it takes the next one.
        One job of a lane at a time has taken such a slot; were they several, each that is woken late would lose its own
        to the others.
        """
        late_s = now - job.charged_at
        alone = job.paid == self._paid(job)
        if alone or late_s <= RESOLUTION_S:
            for each in self._buckets(job):
                if alone:
                    each.move(job.segments, now)
                else:
                    each.postpone(late_s)
            job.charged_at, job.paid = now, self._paid(job)
            if self.late is job:
                self.late = None
            return now
        first = self.late
        if first is not None and first is not job and first.charged_at > now:
            self.late_until = max(self.late_until, first.charged_at) + job.segments / self.pace.bucket.rate
            return self.late_until if self.late_until - now <= TURN_WITHIN_S else None
        at = max(now, *self._paid(job))
        if at - now > TURN_WITHIN_S:
            return None
        self._charge(job, at)
        self.late = job
        return at

    def _charge(self, job: Job, at: float) -> None:
        for bucket in self._buckets(job):
            bucket.charge(job.segments, at)
        job.charged_at, job.paid = at, self._paid(job)

    def _buckets(self, job: Job) -> tuple[Bucket, ...]:
        carrier = self.carrier_of(job)
        return self.buckets if carrier is None else (*self.buckets, carrier.pace.bucket)

    def _paid(self, job: Job) -> tuple[float, ...]:
        if not self.budgets and not self.carriers:
            return (self.pace.bucket.paid_at,)  # as with most lanes, and asked several times for each message
        return tuple([bucket.paid_at for bucket in self._buckets(job)])

    def clear(self) -> None:
        """Nothing is held any more; what is in flight stays so."""
        self.waiting = self._queues()
        self.tickets.clear()
        for jobs in self.ready:
            jobs.clear()
        self.ready_ranks = 0
        self.parked.clear()
        self.pace.ahead = [0] * len(CLASSES)
        self.planned = self.in_flight
        self.wake_at = FOREVER
        self.dirty = False
