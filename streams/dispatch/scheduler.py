"""Which message starts when: pure, on a clock that the caller brings.

A message passes two gates. **Planning** chooses the next messages of a lane shortly before their slot, so that their
INTENT can be written ahead; **starting** charges the buckets at the moment of the POST. A stall between the two (a
broker away for seconds) therefore spends no tokens and is followed by no burst.

Order: critical, then high, normal, bulk, with a guaranteed share for a backlogged lower class (`shares`); inside a
class round-robin between apps, inside an app earliest deadline first (`fair_queue`). Nothing here is slower than
O(log n) in the number of messages held, nothing is remembered of a message that has left.

The caller's loop:

    for job in scheduler.plan(now): write its INTENT, then scheduler.prepared(job)
    while job := scheduler.pop(now): POST it, then scheduler.ended(job, …)
    sleep until scheduler.next_at()
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from .account_state import AccountState
from .agenda import Agenda
from .bucket import AHEAD_S
from .countries import RefusedCountries
from .expiry import Expiry
from .held_apps import HeldApps
from .jobs import Job, JobState
from .lane_state import LaneState
from .lanes import LaneTable
from .pauses import Pauses
from .planning import Planner
from .scheduler_settings import SchedulerSettings
from .shared_budget import CarrierBudget, SharedBudget
from .states import states_of

LONG_S = 1.0
"""What is prepared on an account that is held for longer will be too old to start (`look.INTENT_VALID_MS`)."""


def _always(_: Job) -> bool:
    return True


class Scheduler:
    """See the module. All times are monotonic seconds but deadlines, which are epoch milliseconds.

    Attributes:
        lanes, groups, budgets, accounts: state by name, of groups and budgets only those with a rate; read by metrics
            and by the operator's view.
        carriers: what single carriers grant, by group and carrier.
        pauses: what holds lanes and accounts.
        held: jobs inside the scheduler that have not started.
        refused: jobs that `pop` found inadmissible, or whose lane or account was held, since the caller last emptied
            it.
        look: asked about a job right before it would be charged; a job it refuses goes to `refused` uncharged.
    """

    def __init__(
        self,
        table: LaneTable,
        *,
        random: Callable[[], float],
        settings: SchedulerSettings | None = None,
    ) -> None:
        settings = settings or SchedulerSettings()
        self.table = table
        self.look: Callable[[Job], bool] = _always
        self.refused: list[Job] = []
        self.held = 0
        self._sequence = 0
        self._agenda = Agenda()
        self._apps = HeldApps()
        self._planner = Planner(self._agenda, self._apps, lead_s=max(settings.lead_s, AHEAD_S))
        self._delayed: list[tuple[float, int, Job]] = []
        self._expiry = Expiry()
        self._turn = 0
        states = states_of(table, settings, random)
        self.lanes, self.accounts = states.lanes, states.accounts
        self.groups, self.budgets, self.carriers = states.groups, states.budgets, states.carriers
        self._accounts = list(self.accounts.values())
        countries = RefusedCountries(self.lanes, settings.country_backoff, random)
        self.pauses = Pauses(self.lanes, self.accounts, self._agenda, self._apps, countries)

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
        agenda, planner = self._agenda, self._planner
        while True:
            for what in agenda.due(now):
                if isinstance(what, LaneState):
                    agenda.mark(what)
                elif isinstance(what, CarrierBudget):
                    planner.carrier(what, now, out)
                elif isinstance(what, SharedBudget):
                    planner.budget(what, now, out)
                elif what.breaker.opens_at > now:
                    agenda.wake(what, what.breaker.opens_at)
            for account in self._accounts:
                if account.parking.count:
                    planner.account(account, now, out)
            if not agenda.dirty:
                return out
            while agenda.dirty:
                lane = agenda.take()
                planner.lane(lane, now, out)
                self._offer(lane, now)

    def postpone(self, job: Job, until: float) -> None:
        """Take back a job that `plan` has just returned, before anything was written: not before `until`."""
        self._planner.preparing.discard(job)
        self._withdraw(job)
        self.delay(job, until)

    def prepared(self, job: Job) -> bool:
        """The job's INTENT is acknowledged (or it needs none). False if the job left meanwhile: its deadline passed, or
        everything was dropped."""
        self._planner.preparing.discard(job)
        if job.state is not JobState.PREPARING:
            return False
        job.state = JobState.PREPARED
        lane = self.lanes[job.order.lane]
        lane.ready[job.rank].append(job)
        self._agenda.mark(lane)
        return True

    @property
    def stirred(self) -> bool:
        """Whether `plan` has something to do right now."""
        return bool(self._agenda.dirty)

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
            self._agenda.mark(lane)
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
        at, delayed = self._agenda.next_at(), self._delayed
        return min(at, delayed[0][0]) if delayed else at

    def clear(self) -> None:
        """Drop every job that has not started (their records come again). Buckets and slots stay; pauses after trouble
        end, for nobody may be left here to find out that it is over."""
        for job in self._planner.preparing:
            job.state = JobState.OUT
        self._planner.preparing.clear()
        self._agenda.clear()
        self._delayed.clear()
        self._expiry.clear()
        self._apps.clear()
        self.held = 0
        self.pauses.end()
        for lane in self.lanes.values():
            lane.clear()
        for shared in (*self.groups.values(), *self.budgets.values(), *self.carriers.values()):
            shared.clear()
        for account in self._accounts:
            account.clear()

    def stir(self) -> None:
        """Look at every lane again: a pause, rate or budget has changed."""
        for lane in self.lanes.values():
            self._agenda.mark(lane)

    def hold_apps(self, names: frozenset[str]) -> None:
        """Start nothing of these apps until they are not among the names any more; deadlines go on."""
        for job in self._apps.hold(names):
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
        self._apps.forget_withdrawn()

    # -- inside

    def _admit(self, job: Job) -> None:
        self._sequence += 1
        job.sequence = self._sequence
        self.held += 1
        self._expiry.add(job)

    def _enqueue(self, job: Job) -> None:
        if job.order.app in self._apps:
            self._apps.put(job)
            return
        job.state = JobState.WAITING
        lane = self.lanes[job.order.lane]
        lane.waiting[job.rank].push(job)
        self._agenda.mark(lane)

    def _withdraw(self, job: Job) -> None:
        lane = self.lanes[job.order.lane]
        if job.state is JobState.WAITING:
            lane.waiting[job.rank].discard(job)
        elif job.state is not JobState.DELAYED:
            lane.unplan(job)
            lane.planned -= 1
            lane.account.planned -= 1
            self._agenda.mark(lane)
        job.state = JobState.OUT
        self.held -= 1
        self._expiry.left()

    def _offer(self, lane: LaneState, now: float) -> None:
        """List a lane as ready if its next prepared message may start, else see to it that it is looked at again."""
        if lane.breaker.opens_at > now or lane.account.breaker.opens_at > now + LONG_S:
            self._unplan(lane)
            return
        choice = lane.to_start(now)
        if choice is None:
            return
        rank, job, urgent = choice
        at = lane.offered_at(job, urgent, now)
        if at <= now:
            lane.account.list_ready(lane, rank)
        else:
            self._agenda.wake(lane, at)

    def _unplan(self, lane: LaneState) -> None:
        """What is prepared on a lane that is held would take the account's places from other lanes for as long; and
        nobody can give it back, so that it would pin its partition, and with it the lanes of other accounts."""
        for jobs in lane.ready:
            for job in jobs:
                if job.state is JobState.PREPARED:
                    self._withdraw(job)
                    job.refusal = None
                    self.refused.append(job)
            jobs.clear()

    def _pop_account(self, account: AccountState, now: float) -> Job | None:
        while True:
            rank = account.choose()
            if rank is None:
                return None
            lane = account.take_ready(rank)
            choice = lane.to_start(now)
            if choice is None:
                continue
            start_rank, job, urgent = choice
            if start_rank > rank or lane.startable_at(job, urgent) > now:
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
        self._agenda.mark(lane)
        self._offer(lane, now)
