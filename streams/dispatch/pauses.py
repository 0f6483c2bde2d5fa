"""What holds lanes and accounts: pauses after trouble, which end by themselves or by a success, and those of operators.

Part of the scheduler, which looks again at whatever a pause begins or ends for.
"""

from __future__ import annotations

from collections.abc import Mapping

from .account_state import AccountState
from .agenda import Agenda
from .countries import RefusedCountries
from .held_apps import HeldApps
from .jobs import Job
from .lane_state import LaneState


class Pauses:
    """All times are monotonic seconds.

    Args:
        lanes, accounts: state by name.
        apps: what operators hold of single apps.

    Attributes:
        countries: for which Twilio refuses single lanes.
    """

    def __init__(
        self,
        lanes: Mapping[str, LaneState],
        accounts: Mapping[str, AccountState],
        agenda: Agenda,
        apps: HeldApps,
        countries: RefusedCountries,
    ) -> None:
        self.countries = countries
        self._lanes = lanes
        self._accounts = accounts
        self._agenda = agenda
        self._apps = apps

    # -- after trouble

    def worked(self, job: Job, now: float) -> tuple[bool, bool]:
        """Twilio answered a job sensibly: a half-open breaker closes. Returns whether the lane's and the account's
        closed by it."""
        lane = self._lanes[job.order.lane]
        account = lane.account
        lane_closed = not lane.breaker.closed and lane.breaker.success(now)
        account_closed = not account.breaker.closed and account.breaker.success(now)
        if account_closed:
            self._mark_lanes(account)
        elif lane_closed:
            self._agenda.mark(lane)
        return lane_closed, account_closed

    def trip_lane(self, name: str, now: float, why: str, *, at_least_s: float = 0.0) -> float:
        """Pause a lane after trouble. Returns for how many seconds."""
        lane = self._lanes[name]
        wait_s = lane.breaker.trip(now, why, at_least_s=at_least_s)
        self._agenda.mark(lane)
        return wait_s

    def trip_account(self, name: str, now: float, why: str, *, at_least_s: float = 0.0) -> float:
        """Pause an account after trouble. Returns for how many seconds."""
        account = self._accounts[name]
        wait_s = account.breaker.trip(now, why, at_least_s=at_least_s)
        self._agenda.wake(account, account.breaker.opens_at)
        self._mark_lanes(account)
        return wait_s

    def hold_lane(self, name: str, until: float, waited_s: float, why: str) -> None:
        """Pause a lane after trouble that was met elsewhere (`Breaker.hold`)."""
        lane = self._lanes[name]
        lane.breaker.hold(until, waited_s, why)
        self._agenda.mark(lane)

    def hold_account(self, name: str, until: float, waited_s: float, why: str) -> None:
        """Pause an account after trouble that was met elsewhere (`Breaker.hold`)."""
        account = self._accounts[name]
        account.breaker.hold(until, waited_s, why)
        self._agenda.wake(account, account.breaker.opens_at)
        self._mark_lanes(account)

    def end(self) -> None:
        """End what trouble began: nobody may be left here to find out that it is over. What operators hold stays."""
        for lane in self._lanes.values():
            lane.breaker.reset()
        for account in self._accounts.values():
            account.breaker.reset()
        self.countries.clear()

    def _mark_lanes(self, account: AccountState) -> None:
        for lane in self._lanes.values():
            if lane.account is account:
                self._agenda.mark(lane)

    # -- by an operator

    def holds_lane(self, name: str) -> bool:
        """Whether an operator has paused a lane, its group or its account."""
        lane = self._lanes[name]
        return lane.breaker.paused or lane.account.breaker.paused

    @property
    def holds_any(self) -> bool:
        """Whether an operator has paused anything."""
        return bool(self._apps) or any(map(self.holds_lane, self._lanes))

    def holds(self, job: Job) -> bool:
        """Whether a job is held by an operator: its app, lane or account is paused."""
        lane = self._lanes[job.order.lane]
        return lane.breaker.paused or lane.account.breaker.paused or job.order.app in self._apps
