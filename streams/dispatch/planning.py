"""Chooses the next messages of a lane shortly before their slot, so that their INTENTs can be written ahead.

A lane that finds something shared to be short (an account's slots, the budget of a group or of several) waits there,
and is let out class by class and in turn.
"""

from __future__ import annotations

from .agenda import Agenda
from .held_apps import HeldApps
from .jobs import Job, JobState
from .lane_state import AccountState, LaneState, Pace, Parking, SharedBudget
from .shares import CRITICAL

TOGETHER_S = 0.05
"""Messages of slow lanes are planned early by up to so much, so that those of many lanes are planned at one moment:
the process wakes up once for them, and their INTENTs are one request."""
EARLY_PART = 0.05
"""Of the time between two messages of a lane (of one segment), a message is planned early by no more than this: with
each lane a part of a message more is planned, however fast it is."""


class Planner:
    """Part of the scheduler.

    Args:
        lead_s: how far ahead of its slot a message is planned.

    Attributes:
        preparing: jobs whose INTENT is being written.
    """

    def __init__(self, agenda: Agenda, apps: HeldApps, *, lead_s: float) -> None:
        self._agenda = agenda
        self._apps = apps
        self._lead_s = lead_s
        self.preparing: set[Job] = set()

    def lane(self, lane: LaneState, now: float, out: list[Job], *, released: bool = False) -> Parking | None:
        """Plan what a lane may start within the lead. Where something shared is short, let it wait its turn there, and
        return that.

        Args:
            released: its turn has come: it need not wait behind others again.
        """
        account = lane.account
        while True:
            choice = lane.to_plan()
            if choice is None:
                return None
            rank, segments, urgent = choice
            if not lane.breaker.closed and (lane.planned or lane.breaker.opens_at > now):
                if lane.breaker.opens_at > now:
                    self._agenda.wake(lane, lane.breaker.opens_at)
                return None
            if not account.may_plan(rank, now):
                account.parking.park(lane, rank)
                return account.parking
            plan_at = self._plan_at(lane.pace, rank, segments, urgent, now)
            if plan_at > now:
                self._agenda.wake(lane, plan_at)
                return None
            if lane.budgets:
                short = self._short(lane, rank, segments, urgent, now, released)
                if short is not None:
                    return short
            job = lane.waiting[rank].pop()
            assert job is not None  # to_plan saw it
            if job.order.app in self._apps:
                self._apps.put(job)
                continue
            job.state = JobState.PREPARING
            self.preparing.add(job)
            lane.plan(job)
            lane.planned += 1
            account.planned += 1
            out.append(job)
            if account.parking.count:
                # Others wait for slots of this account: one each, in turn.
                if lane.has_waiting:
                    account.parking.park(lane, rank)
                return account.parking

    def account(self, account: AccountState, now: float, out: list[Job]) -> None:
        """Let lanes that wait for slots of an account plan, as far as there are some."""
        while account.parking.count:
            common = account.may_plan(CRITICAL + 1, now)
            if not common and not account.may_plan(CRITICAL, now):
                return
            if not self._release_one(account.parking, now, out, only_critical=not common):
                return

    def budget(self, budget: SharedBudget, now: float, out: list[Job]) -> None:
        """Let lanes that wait for a budget plan, as far as it reaches."""
        while self._release_one(budget.parking, now, out):
            pass

    def _plan_at(self, pace: Pace, rank: int, segments: int, urgent: bool, now: float) -> float:
        at = pace.slot(rank, segments, urgent, now) - self._lead_s
        return at - at % min(TOGETHER_S, EARLY_PART / pace.bucket.rate)

    def _short(
        self, lane: LaneState, rank: int, segments: int, urgent: bool, now: float, released: bool
    ) -> Parking | None:
        """Where a lane must wait, because what it shares does not let it plan now: at the first such budget."""
        for budget in lane.budgets:
            # One that was let out is sent behind others in no queue: two lanes would wait for each other for ever, each
            # in the queue that lets the other out.
            jumps_queue = budget.parking.count > 0 and rank != CRITICAL and not released
            plan_at = self._plan_at(budget.pace, rank, segments, urgent, now)
            if plan_at > now or jumps_queue:
                budget.parking.park(lane, rank)
                self._agenda.wake(budget, plan_at)
                return budget.parking
        return None

    def _release_one(self, parking: Parking, now: float, out: list[Job], *, only_critical: bool = False) -> bool:
        """Let the lane whose turn it is plan. False when none waits, or it must go on waiting."""
        rank = parking.choose(only_critical=only_critical)
        if rank is None:
            return False
        lane = parking.take(rank)
        planned = len(out)
        waits_at = self.lane(lane, now, out, released=True)
        if len(out) > planned:
            parking.shares.served(rank, 1, parking.heads(rank))
            return True
        # A lane that waits here for another class, too, may have found something else short: that holds up nobody here.
        if waits_at is parking:
            parking.to_front(lane)
            return False
        return True
