"""The states of all lanes, groups and accounts of an installation, as they are at first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from .account_state import AccountState
from .breaker import Breaker
from .concurrency import Concurrency
from .lane_state import LaneState
from .lanes import LaneTable
from .scheduler_settings import SchedulerSettings
from .shared_budget import CarrierBudget, SharedBudget
from .shares import ClassShares


@dataclass(frozen=True, slots=True)
class States:
    """By name; of groups and budgets only those with a rate. `carriers` by group and carrier."""

    lanes: dict[str, LaneState] = field(default_factory=dict)
    groups: dict[str, SharedBudget] = field(default_factory=dict)
    budgets: dict[str, SharedBudget] = field(default_factory=dict)
    carriers: dict[tuple[str, str], CarrierBudget] = field(default_factory=dict)
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
        group, shared = table.groups[lane.group], []
        if group.rate is not None:
            made.groups.setdefault(group.name, _shared(group.name, group.rate, settings))
            shared.append(made.groups[group.name])
        wider = None if group.budget is None else table.budgets[group.budget]
        if wider is not None and wider.rate is not None:
            made.budgets.setdefault(wider.name, _shared(wider.name, wider.rate, settings))
            shared.append(made.budgets[wider.name])
        carriers = {name: _carrier(made, group.name, name, rate, settings) for name, rate in group.carriers.items()}
        breaker, shares = Breaker(settings.lane_backoff, random), ClassShares(settings.shares)
        made.lanes[lane.name] = LaneState(lane, account, shared, breaker, shares, carriers)
    return made


def _carrier(made: States, group: str, name: str, rate: float, settings: SchedulerSettings) -> CarrierBudget:
    if (group, name) not in made.carriers:
        made.carriers[group, name] = CarrierBudget(group, name, rate, ClassShares(settings.shares))
    return made.carriers[group, name]


def _shared(name: str, rate: float, settings: SchedulerSettings) -> SharedBudget:
    return SharedBudget(name, rate, ClassShares(settings.shares))
