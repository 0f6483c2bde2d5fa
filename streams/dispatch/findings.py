"""What Twilio's answers say of lanes, accounts and countries: acts on it, and tells it."""

from __future__ import annotations

from collections.abc import Callable

from schemas.reasons import Reason

from .jobs import Job
from .scheduler import Scheduler
from .troubles import Troubles
from .verdict import Pause, Paused, Verdict

DOUBTS_TRIP = 5
"""So many answers lost in a row, and the account is taken to be in trouble: every further one leaves a message in
doubt."""
SUSPECTED_PART = 2
"""Where messages for countries that are suspected fill one such part of their partition's window, a lane that is held
gives them back: behind them may lie those that could tell whether it works for others."""


class Findings:
    """Part of the sender.

    Args:
        give_up: gives a job that waits back to policy.
        clock: monotonic seconds.
        now_ms: epoch milliseconds.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        troubles: Troubles,
        *,
        give_up: Callable[[Job, Reason], None],
        clock: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        self._scheduler = scheduler
        self._pauses = scheduler.pauses
        self._countries = scheduler.pauses.countries
        self._troubles = troubles
        self._give_up = give_up
        self._clock = clock
        self._now_ms = now_ms
        self._doubts_in_a_row: dict[str, int] = {}

    def act_on(self, job: Job, verdict: Verdict, now: float) -> float:
        """Returns for how many seconds lane or account is held by it."""
        order = job.order
        if verdict.worked or verdict.throttled:
            self._doubts_in_a_row[order.account] = 0
            lane_works, account_works = self._pauses.worked(job, now)
            if lane_works:
                self._troubles.ended(Paused.LANE, order.lane)
            if account_works:
                self._troubles.ended(Paused.ACCOUNT, order.account)
        if verdict.worked:
            self._works_for_country(job, verdict, now)
        pause = verdict.pause
        if verdict.follows is None:
            doubts = self._doubts_in_a_row[order.account] = self._doubts_in_a_row.get(order.account, 0) + 1
            if doubts >= DOUBTS_TRIP:
                pause = Pause(Paused.ACCOUNT, f"{doubts} answers lost in a row: {verdict.detail}")
        if pause is None or (pause.may_be_country and self._is_about_country(job, pause, now)):
            return 0.0
        if pause.what is Paused.LANE:
            return self._hold_lane(job, pause, now)
        wait_s = self._pauses.trip_account(order.account, now, pause.why, at_least_s=pause.at_least_s)
        self._troubles.began(order.account, pause, wait_s)
        return wait_s

    def keep_back(self, job: Job) -> bool:
        """Whether a planned job must go back to policy for its country's sake: that is marked; or it is suspected, and
        the job would be the one by which its lane is probed, though others wait that can tell more."""
        if not self._countries.suspects(job.order):
            return self._countries.stops(job, self._clock())
        waiting = self._waiting(job.order.lane)
        if not any(self._countries.of(each.order) is None for each in waiting):
            return False
        for each in waiting:  # at once, or each of them would be asked about before the other's turn comes
            if self._countries.suspects(each.order):
                self._give_up(each, Reason.SENDER_REFUSED)
        return True

    # -- inside

    def _hold_lane(self, job: Job, pause: Pause, now: float) -> float:
        lane = job.order.lane
        breaker = self._scheduler.lanes[lane].breaker
        probed = breaker.troubles > 0 and breaker.open_until <= now
        wait_s = self._pauses.trip_lane(lane, now, pause.why, at_least_s=pause.at_least_s)
        self._troubles.began(lane, pause, wait_s)
        if probed and pause.may_be_country:
            self._make_room(lane)
        return wait_s

    def _is_about_country(self, job: Job, pause: Pause, now: float) -> bool:
        """Whether a refusal is known to be about the country: then nothing else is held."""
        known = self._countries.refused(job, pause, now, self._now_ms())
        if known is None or not known.marked:
            return False
        self._troubles.began(known.name, known.pause, known.until - now)
        return True

    def _works_for_country(self, job: Job, verdict: Verdict, now: float) -> None:
        accepted = verdict.accepted is not None
        begun, over = self._countries.worked(job, now, self._now_ms(), accepted=accepted)
        for each in begun:
            self._troubles.began(each.name, each.pause, each.until - now)
        if over is not None:
            self._troubles.ended(Paused.COUNTRY, over.name)

    def _make_room(self, lane: str) -> None:
        suspected = [each for each in self._waiting(lane) if self._countries.suspects(each.order)]
        table = self._scheduler.table
        if len(suspected) >= table.window(table.partition_of(lane)) // SUSPECTED_PART:
            for each in suspected:
                self._give_up(each, Reason.SENDER_REFUSED)

    def _waiting(self, lane: str) -> list[Job]:
        queues = self._scheduler.lanes[lane].waiting
        return [each for queue in queues for each in queue if not self._pauses.holds(each)]
