"""Which message starts when: pure, on a clock that the caller brings.

A message passes two gates. **Planning** chooses the next messages of a lane shortly before their slot, so that their
INTENT can be written ahead; **starting** charges the buckets at the moment of the POST. A stall between the two (a
broker away for seconds) therefore spends no tokens and is followed by no burst.

Order: critical, then high, normal, bulk, with a guaranteed share for a backlogged lower class (`shares`); inside a
class round-robin between apps, inside an app earliest deadline first (`fair_queue`). Nothing here is slower than
O(log n) in the number of messages held, nothing is remembered of a message that has left.

The caller's loop:

    for job in scheduler.plan(now): write its INTENT, then scheduler.prepared(job)
    while job := scheduler.pop(now): POST it, then scheduler.answered(job, …)
    sleep until scheduler.next_at()
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from .breaker import FOREVER, Backoff, Breaker
from .bucket import AHEAD_S
from .concurrency import DEFAULT_LIMIT, Concurrency
from .expiry import Expiry
from .jobs import Job, JobState
from .lane_state import AccountState, GroupState, LaneState, Parking
from .lanes import LaneTable
from .shares import CRITICAL, DEFAULT_SHARES, ClassShares

LEAD_S = 0.05
"""How far ahead of its slot a message is planned: an INTENT is acknowledged in 2-7 ms, 10-20 ms on a loaded broker.
What is planned at a crash is in doubt afterwards, so this is kept far below the 1 s that the promise allows."""

LANE_BACKOFF = Backoff(first_s=5.0, cap_s=300.0)
"""A sender in trouble (queue full: 21611) drains within minutes; a broken one is probed every five minutes."""
ACCOUNT_BACKOFF = Backoff(first_s=0.25, cap_s=30.0)
"""An account in trouble (Twilio away, credentials refused) is probed soon, then every half minute."""


def _always(_: Job) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class SchedulerSettings:
    """What an operator may set.

    Attributes:
        shares: guaranteed share by rank of class.
        max_in_flight: requests in flight per account, at most.
        slots: the same of single accounts, by name.
        lead_s: how far ahead of its slot a message is planned.
        lane_backoff, account_backoff: pauses after trouble.
    """

    shares: Sequence[float] = DEFAULT_SHARES
    max_in_flight: int = DEFAULT_LIMIT
    slots: Mapping[str, int] = field(default_factory=dict)
    lead_s: float = LEAD_S
    lane_backoff: Backoff = field(default=LANE_BACKOFF)
    account_backoff: Backoff = field(default=ACCOUNT_BACKOFF)


class Scheduler:
    """See the module. All times are monotonic seconds but deadlines, which are epoch milliseconds.

    Attributes:
        lanes, groups, accounts: state by name; read by metrics and by the operator's view.
        held: jobs inside the scheduler that have not started.
        refused: jobs that `pop` found inadmissible, or whose lane was held, since the caller last emptied it.
        look: asked about a job right before it would be charged; a job it refuses goes to `refused` uncharged.
    """

    def __init__(
        self,
        table: LaneTable,
        *,
        random: Callable[[], float],
        settings: SchedulerSettings | None = None,
        look: Callable[[Job], bool] = _always,
    ) -> None:
        settings = settings or SchedulerSettings()
        self.table = table
        self.look = look
        self.refused: list[Job] = []
        self.held = 0
        self._lead_s = max(settings.lead_s, AHEAD_S)
        self._sequence = 0
        self._agenda: list[tuple[float, int, LaneState | GroupState | AccountState]] = []
        self._preparing: set[Job] = set()
        self._delayed: list[tuple[float, int, Job]] = []
        self._dirty: list[LaneState] = []
        self._expiry = Expiry()
        self._turn = 0
        self._held_apps: dict[str, list[tuple[int, Job]]] = {}
        self.accounts: dict[str, AccountState] = {}
        self.groups: dict[str, GroupState] = {}
        self.lanes: dict[str, LaneState] = {}
        for lane in table.lanes.values():
            account = self.accounts.get(lane.account)
            if account is None:
                slots = settings.slots.get(lane.account, settings.max_in_flight)
                account = self.accounts[lane.account] = AccountState(
                    lane.account, Concurrency(slots), Breaker(settings.account_backoff, random), settings.shares
                )
            group_rate = table.groups[lane.group].rate
            group = None
            if group_rate is not None:
                group = self.groups.setdefault(
                    lane.group, GroupState(lane.group, group_rate, ClassShares(settings.shares))
                )
            self.lanes[lane.name] = LaneState(
                lane, account, group, Breaker(settings.lane_backoff, random), ClassShares(settings.shares)
            )
        self._accounts = list(self.accounts.values())

    # -- messages in and out

    def push(self, job: Job) -> None:
        """Take a job in; its lane exists (`table.lanes`)."""
        self._admit(job)
        self._enqueue(job)

    def delay(self, job: Job, until: float) -> None:
        """Take a job in that may not start before `until` (a retry)."""
        self._admit(job)
        job.state = JobState.DELAYED
        heapq.heappush(self._delayed, (until, job.sequence, job))

    def plan(self, now: float) -> list[Job]:
        """Jobs whose slot is near: write their INTENT, then call `prepared`. Their state is `PREPARING`."""
        out: list[Job] = []
        delayed = self._delayed
        while delayed and delayed[0][0] <= now:
            _, sequence, job = heapq.heappop(delayed)
            if job.state is JobState.DELAYED and job.sequence == sequence:
                self._enqueue(job)
        agenda, dirty = self._agenda, self._dirty
        while True:
            while agenda and agenda[0][0] <= now:
                at, _, what = heapq.heappop(agenda)
                if at == what.wake_at:
                    what.wake_at = FOREVER
                    if isinstance(what, LaneState):
                        self._mark(what)
                    elif isinstance(what, GroupState):
                        self._release_group(what, now, out)
                    elif what.breaker.opens_at > now:
                        self._wake(what, what.breaker.opens_at)
            for account in self._accounts:
                if account.parking.count:
                    self._release_account(account, now, out)
            if not dirty:
                return out
            while dirty:
                lane = dirty.pop()
                lane.dirty = False
                self._plan_lane(lane, now, out)
                self._offer(lane, now)

    def postpone(self, job: Job, until: float) -> None:
        """Take back a job that `plan` has just returned, before anything was written: not before `until`."""
        self._preparing.discard(job)
        self._withdraw(job)
        self.delay(job, until)

    def prepared(self, job: Job) -> bool:
        """The job's INTENT is acknowledged (or it needs none). False if the job left meanwhile: its deadline passed, or
        everything was dropped."""
        self._preparing.discard(job)
        if job.state is not JobState.PREPARING:
            return False
        job.state = JobState.PREPARED
        lane = self.lanes[job.order.lane]
        lane.ready[job.rank].append(job)
        self._mark(lane)
        return True

    @property
    def stirred(self) -> bool:
        """Whether `plan` has something to do right now."""
        return bool(self._dirty)

    def startable(self, now: float) -> bool:
        """Whether `pop` would probably return a job."""
        return any(account.may_start_any(now) and account.choose() is not None for account in self._accounts)

    def pop(self, now: float) -> Job | None:
        """A job to POST right now, charged; None when nothing may start. Call `plan` first."""
        accounts = self._accounts
        for _ in accounts:
            self._turn = (self._turn + 1) % len(accounts)
            account = accounts[self._turn]
            if account.may_start_any(now):
                job = self._pop_account(account, now)
                if job is not None:
                    return job
        return None

    def turn(self, job: Job, now: float) -> float | None:
        """For how many seconds a started job must still wait before its first byte may leave (it asks again then): 0 in
        the step in which `pop` returned it, None when it is to be withheld. Between the two may lie a connection to be
        made, or a process that stood still: what was charged at several moments would leave at once."""
        if now <= job.charged_at:
            return 0.0
        at = self.lanes[job.order.lane].restart(job, now)
        return None if at is None else max(0.0, at - now)

    def ended(self, job: Job, now: float, *, throttled: bool = False, reported: int | None = None) -> bool:
        """The POST of a job ended: its slot is free. The job is the caller's; a retry is `push`ed or `delay`ed.

        Args:
            job: as `pop` returned it.
            now: monotonic seconds.
            throttled: Twilio refused it with 20429.
            reported: Twilio-Concurrent-Requests of the answer.

        Returns:
            Whether the account's slots were cut by it.
        """
        lane = self.lanes[job.order.lane]
        account = lane.account
        lane.in_flight -= 1
        lane.planned -= 1
        if lane.late is job:
            lane.late = None
        account.planned -= 1
        job.state = JobState.OUT
        if not lane.breaker.closed:
            self._mark(lane)
        if throttled:
            return account.concurrency.throttled(now, reported)
        account.concurrency.answered(now, reported)
        return False

    def expire(self, now_ms: int) -> list[Job]:
        """Take out the jobs whose deadline has passed, wherever they wait. One that had an INTENT has `intent_at`.
        A job in preparation is not returned: `prepared` will answer False for it."""
        out: list[Job] = []
        for job in self._expiry.due(now_ms):
            if job.state is not JobState.PREPARING:
                out.append(job)
            self._withdraw(job)
        return out

    def next_expiry_ms(self) -> int | None:
        """Epoch milliseconds of the next deadline to look at."""
        return self._expiry.next_ms()

    def next_at(self) -> float:
        """When `plan` has work again without new messages or answers; infinity when never."""
        agenda, delayed = self._agenda, self._delayed
        while agenda and agenda[0][0] != agenda[0][2].wake_at:
            heapq.heappop(agenda)
        at = agenda[0][0] if agenda else FOREVER
        return min(at, delayed[0][0]) if delayed else at

    def clear(self) -> None:
        """Drop every job that has not started (their records come again). Buckets and slots stay; pauses after trouble
        end, for nobody may be left here to find out that it is over."""
        for job in self._preparing:
            job.state = JobState.OUT
        self._preparing.clear()
        self._agenda.clear()
        self._delayed.clear()
        self._dirty.clear()
        self._expiry.clear()
        for held in self._held_apps.values():
            held.clear()
        self.held = 0
        for lane in self.lanes.values():
            lane.clear()
            lane.breaker.reset()
        for group in self.groups.values():
            group.clear()
        for account in self._accounts:
            account.clear()
            account.breaker.reset()

    def worked(self, job: Job, now: float) -> tuple[bool, bool]:
        """Twilio answered a job sensibly: a half-open breaker closes. Returns whether the lane's and the account's
        closed by it."""
        lane = self.lanes[job.order.lane]
        account = lane.account
        lane_closed = not lane.breaker.closed and lane.breaker.success(now)
        account_closed = not account.breaker.closed and account.breaker.success(now)
        if account_closed:
            self.stir(account.name)
        elif lane_closed:
            self._mark(lane)
        return lane_closed, account_closed

    def trip_lane(self, name: str, now: float, why: str, *, at_least_s: float = 0.0) -> float:
        """Pause a lane after trouble. Returns for how many seconds."""
        lane = self.lanes[name]
        wait_s = lane.breaker.trip(now, why, at_least_s=at_least_s)
        self._mark(lane)
        return wait_s

    def trip_account(self, name: str, now: float, why: str, *, at_least_s: float = 0.0) -> float:
        """Pause an account after trouble. Returns for how many seconds."""
        account = self.accounts[name]
        wait_s = account.breaker.trip(now, why, at_least_s=at_least_s)
        self._wake(account, account.breaker.opens_at)
        return wait_s

    def hold_lane(self, name: str, until: float, waited_s: float, why: str) -> None:
        """Pause a lane after trouble that was met elsewhere (`Breaker.hold`)."""
        lane = self.lanes[name]
        lane.breaker.hold(until, waited_s, why)
        self._mark(lane)

    def hold_account(self, name: str, until: float, waited_s: float, why: str) -> None:
        """Pause an account after trouble that was met elsewhere (`Breaker.hold`)."""
        account = self.accounts[name]
        account.breaker.hold(until, waited_s, why)
        self._wake(account, account.breaker.opens_at)

    def stir(self, account: str | None = None) -> None:
        """Look at every lane (of an account) again: a pause, rate or budget has changed."""
        for lane in self.lanes.values():
            if account is None or lane.account.name == account:
                self._mark(lane)

    def hold_apps(self, names: frozenset[str]) -> None:
        """Start nothing of these apps until they are not among the names any more; deadlines go on."""
        released = [jobs for name, jobs in self._held_apps.items() if name not in names]
        self._held_apps = {name: self._held_apps.get(name, []) for name in names}
        for jobs in released:
            for sequence, job in jobs:
                if job.state is JobState.DELAYED and job.sequence == sequence:
                    self._enqueue(job)

    def keep(self, job: Job) -> None:
        """Take a job in that waits for `let_go`; its deadline goes on."""
        self._admit(job)
        job.state = JobState.DELAYED

    def let_go(self, job: Job) -> None:
        """Let a kept job wait for its slot; nothing if it has left."""
        if job.state is JobState.DELAYED:
            self._enqueue(job)

    def withdraw(self, job: Job) -> bool:
        """Take a job out that waits; False when it does not (any more): it is planned, or not in here."""
        if job.state not in (JobState.WAITING, JobState.DELAYED):
            return False
        self._withdraw(job)
        return True

    def forget_withdrawn(self) -> None:
        """Let go of what was withdrawn while its app was held."""
        for name, jobs in self._held_apps.items():
            self._held_apps[name] = [
                (sequence, job) for sequence, job in jobs if job.state is JobState.DELAYED and job.sequence == sequence
            ]

    def holds_lane(self, name: str) -> bool:
        """Whether an operator has paused a lane, its group or its account."""
        lane = self.lanes[name]
        return lane.breaker.paused or lane.account.breaker.paused

    @property
    def holds_any(self) -> bool:
        """Whether an operator has paused anything."""
        return bool(self._held_apps) or any(map(self.holds_lane, self.lanes))

    def holds(self, job: Job) -> bool:
        """Whether a job is held by an operator: its app, lane or account is paused."""
        lane = self.lanes[job.order.lane]
        return lane.breaker.paused or lane.account.breaker.paused or job.order.app in self._held_apps

    # -- inside

    def _admit(self, job: Job) -> None:
        self._sequence += 1
        job.sequence = self._sequence
        self.held += 1
        self._expiry.add(job)

    def _enqueue(self, job: Job) -> None:
        if job.order.app in self._held_apps:
            self._hold(job)
            return
        job.state = JobState.WAITING
        lane = self.lanes[job.order.lane]
        lane.waiting[job.rank].push(job)
        self._mark(lane)

    def _hold(self, job: Job) -> None:
        job.state = JobState.DELAYED  # not in the heap of delays: `hold_apps` lets it out
        self._held_apps[job.order.app].append((job.sequence, job))

    def _withdraw(self, job: Job) -> None:
        lane = self.lanes[job.order.lane]
        if job.state is JobState.WAITING:
            lane.waiting[job.rank].discard(job)
        elif job.state is not JobState.DELAYED:
            lane.unplan(job)
            lane.planned -= 1
            lane.account.planned -= 1
            self._mark(lane)
        job.state = JobState.OUT
        self.held -= 1
        self._expiry.left()

    def _mark(self, lane: LaneState) -> None:
        if not lane.dirty:
            lane.dirty = True
            self._dirty.append(lane)

    def _wake(self, what: LaneState | GroupState | AccountState, at: float) -> None:
        if at < what.wake_at and at < FOREVER:
            what.wake_at = at
            self._sequence += 1
            heapq.heappush(self._agenda, (at, self._sequence, what))

    def _plan_lane(self, lane: LaneState, now: float, out: list[Job], *, released: bool = False) -> None:
        account, group = lane.account, lane.group
        while True:
            choice = lane.to_plan()
            if choice is None:
                return
            rank, segments, urgent = choice
            if not lane.breaker.closed and (lane.planned or lane.breaker.opens_at > now):
                if lane.breaker.opens_at > now:
                    self._wake(lane, lane.breaker.opens_at)
                return
            if not account.may_plan(rank, now):
                account.parking.park(lane, rank)
                return
            plan_at = lane.pace.slot(rank, segments, urgent, now) - self._lead_s
            if plan_at > now:
                self._wake(lane, plan_at)
                return
            if group is not None:
                plan_at = group.pace.slot(rank, segments, urgent, now) - self._lead_s
                jumps_queue = group.parking.count > 0 and rank != CRITICAL and not released
                if plan_at > now or jumps_queue:
                    group.parking.park(lane, rank)
                    self._wake(group, plan_at)
                    return
            job = lane.waiting[rank].pop()
            assert job is not None  # to_plan saw it
            if job.order.app in self._held_apps:
                self._hold(job)
                continue
            job.state = JobState.PREPARING
            self._preparing.add(job)
            lane.plan(job)
            lane.planned += 1
            account.planned += 1
            out.append(job)
            if account.parking.count:
                # Others wait for slots of this account: one each, in turn.
                if lane.has_waiting:
                    account.parking.park(lane, rank)
                return

    def _offer(self, lane: LaneState, now: float) -> None:
        """List a lane as ready if its next prepared message may start, else see to it that it is looked at again."""
        if lane.breaker.opens_at > now:
            self._unplan(lane)
            return
        choice = lane.to_start()
        if choice is None:
            return
        rank, job, urgent = choice
        at = self._startable_at(lane, job, urgent)
        if at <= now:
            lane.account.list_ready(lane, rank)
        else:
            self._wake(lane, at)

    def _unplan(self, lane: LaneState) -> None:
        """What is prepared on a lane that is held would take the account's places from other lanes for as long."""
        for jobs in lane.ready:
            for job in jobs:
                if job.state is JobState.PREPARED:
                    self._withdraw(job)
                    job.refusal = None
                    self.refused.append(job)
            jobs.clear()

    def _startable_at(self, lane: LaneState, job: Job, urgent: bool) -> float:
        at = lane.pace.due(job.segments, urgent)
        if lane.group is not None:
            at = max(at, lane.group.pace.due(job.segments, urgent))
        if not lane.breaker.closed:
            if lane.in_flight:
                return FOREVER  # half-open: `ended` looks again
            at = max(at, lane.breaker.opens_at)
        return at

    def _pop_account(self, account: AccountState, now: float) -> Job | None:
        while True:
            rank = account.choose()
            if rank is None:
                return None
            lane = account.take_ready(rank)
            choice = lane.to_start()
            if choice is None:
                continue
            start_rank, job, urgent = choice
            if start_rank > rank or self._startable_at(lane, job, urgent) > now:
                self._offer(lane, now)
                continue
            if not self.look(job):
                self._withdraw(job)
                self.refused.append(job)
                self._offer(lane, now)
                continue
            self._start(lane, job, now)
            return job

    def _start(self, lane: LaneState, job: Job, now: float) -> None:
        account = lane.account
        lane.start(job, now)
        account.start(job)
        job.state = JobState.SENDING
        self.held -= 1
        self._expiry.left()
        self._mark(lane)
        self._offer(lane, now)

    def _release_account(self, account: AccountState, now: float, out: list[Job]) -> None:
        while account.parking.count:
            common = account.may_plan(CRITICAL + 1, now)
            if not common and not account.may_plan(CRITICAL, now):
                return
            if not self._release_one(account.parking, now, out, only_critical=not common):
                return

    def _release_group(self, group: GroupState, now: float, out: list[Job]) -> None:
        while self._release_one(group.parking, now, out):
            pass

    def _release_one(self, parking: Parking, now: float, out: list[Job], *, only_critical: bool = False) -> bool:
        """Let the lane whose turn it is plan. False when none waits, or it must go on waiting."""
        rank = parking.choose(only_critical=only_critical)
        if rank is None:
            return False
        lane = parking.take(rank)
        planned = len(out)
        self._plan_lane(lane, now, out, released=True)
        if len(out) > planned:
            parking.shares.served(rank, 1, parking.heads(rank))
            return True
        if parking.holds(lane):
            parking.to_front(lane)
            return False
        return True
