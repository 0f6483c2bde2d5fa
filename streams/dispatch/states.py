"""The states of all lanes, groups and accounts of an installation, as they are at first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .breaker import Breaker
from .concurrency import Concurrency
from .lane_state import AccountState, GroupState, LaneState
from .lanes import LaneTable
from .scheduler_settings import SchedulerSettings
from .shares import ClassShares


@dataclass(frozen=True, slots=True)
class States:
    """By name; of groups only those with a budget."""

    lanes: dict[str, LaneState] = field(default_factory=dict)
    groups: dict[str, GroupState] = field(default_factory=dict)
    accounts: dict[str, AccountState] = field(default_factory=dict)


def states_of(table: LaneTable, settings: SchedulerSettings, random: Callable[[], float]) -> States:
    """Make them; `random` (0..1) spreads the pauses of breakers."""
    made = States()
    for lane in table.lanes.values():
        account = made.accounts.get(lane.account)
        if account is None:
            slots = settings.slots.get(lane.account, settings.max_in_flight)
            account = made.accounts[lane.account] = AccountState(
                lane.account, Concurrency(slots), Breaker(settings.account_backoff, random), settings.shares
            )
        rate = table.groups[lane.group].rate
        group = None
        if rate is not None:
            group = made.groups.setdefault(lane.group, GroupState(lane.group, rate, ClassShares(settings.shares)))
        breaker, shares = Breaker(settings.lane_backoff, random), ClassShares(settings.shares)
        made.lanes[lane.name] = LaneState(lane, account, group, breaker, shares)
    return made
