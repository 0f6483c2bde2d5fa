"""Chooses the next messages of a lane shortly before their slot, so that their INTENTs can be written ahead.

A lane that finds something shared to be short (an account's slots, the budget of a group or of several) waits there,
and is let out class by class and in turn.
"""

from __future__ import annotations

from .account_state import AccountState
from .agenda import Agenda
from .bucket import RESOLUTION_S
from .company import apart_s
from .held_apps import HeldApps
from .jobs import Job, JobState
from .lane_state import LaneState
from .shared_budget import CarrierBudget, Pace, Parking, SharedBudget
from .shares import CRITICAL

EARLY_PART = 0.05
"""Of the time between two messages of a lane (of one segment) that is too fast to have common moments (`company`), a
message is planned early by up to so much: fewer wake-ups, and with each lane a part of a message more is planned."""
RESERVED_S = 0.5
"""A lane whose turn has come at a carrier may take a slot of its own for it that is so far away: half of how old an
INTENT may be. A lane that has none so soon waits for the carrier instead, when it has one."""


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

    def lane(
        self, lane: LaneState, now: float, out: list[Job], *, released: bool = False, turn: CarrierBudget | None = None
    ) -> Parking | None:
        """Plan what a lane may start within the lead. Where something shared is short, let it wait its turn there, and
        return that; at a carrier it waits with that carrier's messages only.

        Args:
            released: its turn has come: it need not wait behind others again.
            turn: its turn has come at this carrier.
        """
        account = lane.account
        while True:
            choice = lane.to_plan()
            if choice is None:
                return None
            rank, job, urgent = choice
            segments = job.segments
            if not lane.breaker.closed and (lane.planned or lane.breaker.opens_at > now):
                if lane.breaker.opens_at > now:
                    self._agenda.wake(lane, lane.breaker.opens_at)
                return None
            if not account.may_plan(rank, now):
                if account.breaker.opens_at > now:
                    self._agenda.wake(account, account.breaker.opens_at)
                account.parking.park(lane, rank)
                return account.parking
            slot = lane.pace.slot(rank, segments, urgent, now)
            carrier = lane.carrier_of(job)
            reserves = carrier is not None and carrier is turn and slot - now <= RESERVED_S
            plan_at = self._plan_at(lane.pace, slot)
            if plan_at > now and not reserves:
                self._agenda.wake(lane, plan_at)
                return None
            if carrier is not None and not self._lets(carrier, lane, rank, segments, urgent, slot, now, turn):
                if lane.pace.bucket.rate * RESERVED_S < 1 and lane.has_ticket(carrier, rank):
                    return carrier.parking
                continue  # with what it has for others
            if lane.budgets:
                short = self._short(lane, rank, segments, urgent, now, released)
                if short is not None:
                    return short
            lane.take(rank, job)
            if carrier is not None:
                lane.tickets.pop(carrier.parking, None)
                turn = None if carrier is turn else turn
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

    def carrier(self, carrier: CarrierBudget, now: float, out: list[Job]) -> None:
        """Let lanes that wait for a carrier plan what they have for it, as far as it reaches."""
        parking = carrier.parking
        while (rank := parking.choose()) is not None:
            lane, planned = parking.take(rank), len(out)
            self.lane(lane, now, out, turn=carrier)
            if any(lane.carrier_of(job) is carrier for job in out[planned:]):
                parking.shares.served(rank, 1, parking.heads(rank))
            elif lane.shuts(carrier, rank):
                return
            else:  # something else had no place for it
                lane.tickets[parking] = lane.tickets.get(parking, 0) | 1 << rank

    def _lets(
        self,
        carrier: CarrierBudget,
        lane: LaneState,
        rank: int,
        segments: int,
        urgent: bool,
        slot: float,
        now: float,
        turn: CarrierBudget | None,
    ) -> bool:
        """Whether a carrier lets a lane plan what would start in this slot of its own. If not, the lane waits its turn
        there. One whose turn came in vain takes what is free when it can use it, whatever others have planned."""
        parking = carrier.parking
        ticket, its_turn = lane.has_ticket(carrier, rank), carrier is turn
        if ticket and not its_turn:
            free = max(now, carrier.pace.due(segments, urgent))
        else:
            free = carrier.pace.slot(rank, segments, urgent, now)
        jumps_queue = parking.count > 0 and rank != CRITICAL and not ticket and not its_turn
        plan_at = free - max(self._lead_s, slot - now) - RESOLUTION_S
        if plan_at <= now and not jumps_queue:
            return True
        parking.park(lane, rank)
        if ticket or its_turn:
            parking.to_front(lane)
        # Its own slot may come nearer meanwhile, and be as much too early as now.
        self._agenda.wake(carrier, plan_at if jumps_queue else max(plan_at, now + RESOLUTION_S))
        return False

    def _plan_at(self, pace: Pace, slot: float) -> float:
        at, rate = slot - self._lead_s, pace.bucket.rate
        return at - at % (apart_s(rate) or EARLY_PART / rate)

    def _short(
        self, lane: LaneState, rank: int, segments: int, urgent: bool, now: float, released: bool
    ) -> Parking | None:
        """Where a lane must wait, because what it shares does not let it plan now: at the first such budget."""
        for budget in lane.budgets:
            # One that was let out is sent behind others in no queue: two lanes would wait for each other for ever, each
            # in the queue that lets the other out.
            jumps_queue = budget.parking.count > 0 and rank != CRITICAL and not released
            plan_at = self._plan_at(budget.pace, budget.pace.slot(rank, segments, urgent, now))
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
