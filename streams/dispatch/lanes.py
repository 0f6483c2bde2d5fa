"""Which senders exist, how fast each may go, and which partition carries them.

A **lane** is one sender or one messaging service with its rate. A **pacing group** is the set of lanes that share a
budget; it owns a partition number, the same in every class topic and in `comms.attempts`, so that one process owns
everything that shares a budget.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from connectors.kafka.window import MAX_HELD
from schemas.records import Channel

WINDOW_SECONDS = 5.0
"""How much work of a partition is held: enough to ride out a fetch of a second or two, little enough that thousands of
slow lanes fit in memory (measured: 20 records held per throttled lane, 87 MB for 64 lanes)."""
WINDOW_MIN = 20
"""Below this a lane of small messages would wait for fetches."""
WINDOW_MAX = 1_000
"""Above this a lane holds more than any rate Twilio grants can use in a few seconds."""
WINDOW_SHARED_MAX = 5_000
"""Limit of a partition that several groups share."""

CARRIER_PART = 2
"""What one carrier limits may fill one such part of what its group may hold."""

HELD_SECONDS = 120.0
"""How long one message may take while the others of its partition go on at full rate: a doubt takes half a minute, a
retry up to a minute. A crash then delivers so much again."""


class LaneKind(StrEnum):
    """What Twilio knows the lane as."""

    SENDER = "sender"
    MESSAGING_SERVICE = "messaging_service"


@dataclass(frozen=True, slots=True)
class Lane:
    """One sender or one messaging service.

    Attributes:
        name: configured name; unique.
        account: configured name of the Twilio account it belongs to.
        address: E.164 number, short code or alphanumeric id as Twilio knows it, without channel prefix; or, for a
            messaging service, its SID (MG…). A sender is in exactly one lane.
        rate: segments per second; for MMS and WhatsApp messages per second. More than 0.
        group: pacing group; a lane that names none is alone in a group of its own name.
        kind: sender or messaging service.
        channels: roads this lane can take; for display and checks, the pace does not depend on it.
    """

    name: str
    account: str
    address: str
    rate: float
    group: str = ""
    kind: LaneKind = LaneKind.SENDER
    channels: tuple[Channel, ...] = (Channel.SMS,)

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.name)


@dataclass(frozen=True, slots=True)
class Group:
    """Lanes that share a budget (a 10DLC campaign), and the partition that carries them.

    Attributes:
        name: unique.
        partition: number in `comms.dispatch.<class>` and `comms.attempts`. Given explicitly: a name's hash would move
            groups whenever the partition count changes.
        rate: shared budget in segments per second; None when only the lanes' own rates bound it.
        budget: name of a wider budget that it shares with other groups; None for none.
        carriers: what single carriers grant within it, segments per second by our name for the carrier.
    """

    name: str
    partition: int
    rate: float | None = None
    budget: str | None = None
    carriers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DayCap:
    """What a carrier takes of a brand a day (T-Mobile, from one 00:00 Pacific time to the next).

    Attributes:
        segments: for MMS messages.
        kept_for_critical: so many of them only the critical class may use.
    """

    segments: int
    kept_for_critical: int = 0


@dataclass(frozen=True, slots=True)
class Budget:
    """What several groups share (a 10DLC brand whose campaigns they are). All of them lie on one partition, so that one
    process paces it.

    Attributes:
        name: unique.
        rate: segments per second of all its groups together; None when only their own rates bound them.
        day_caps: what single carriers take of it a day, by our name for the carrier.
    """

    name: str
    rate: float | None = None
    day_caps: Mapping[str, DayCap] = field(default_factory=dict)


class LaneTableError(ValueError):
    """The lanes contradict themselves. `problems` lists all of them, each with the fix."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class LaneTable:
    """All lanes and groups of an installation, checked.

    Attributes:
        lanes: by name.
        groups: by name.
        partitions: partition count of the dispatch topics (D).
        budgets: by name.

    Raises:
        LaneTableError: a sender is in two lanes, a rate is not positive, a group or budget is unknown, a partition lies
            outside 0..D-1, or the groups of a budget lie on several.
    """

    lanes: Mapping[str, Lane]
    groups: Mapping[str, Group]
    partitions: int
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    _windows: Mapping[int, int] = field(init=False, repr=False, compare=False)
    _quotas: Mapping[str, int] = field(init=False, repr=False, compare=False)
    _held: Mapping[int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        problems = _problems(self)
        if problems:
            raise LaneTableError(problems)
        windows, quotas, rates = _windows(self)
        held = {partition: max(MAX_HELD, int(rate * HELD_SECONDS)) for partition, rate in rates.items()}
        object.__setattr__(self, "_held", held)
        object.__setattr__(self, "_windows", windows)
        object.__setattr__(self, "_quotas", quotas)

    @classmethod
    def of(
        cls, lanes: Iterable[Lane], groups: Iterable[Group], budgets: Iterable[Budget] = (), *, partitions: int
    ) -> LaneTable:
        """Build the table.

        Raises:
            LaneTableError: as for the class, and when two lanes, groups or budgets have one name.
        """
        lanes, groups, budgets = list(lanes), list(groups), list(budgets)
        problems = [f"lane {name}: defined twice" for name in _repeated(lane.name for lane in lanes)]
        problems += [f"group {name}: defined twice" for name in _repeated(group.name for group in groups)]
        problems += [f"budget {name}: defined twice" for name in _repeated(budget.name for budget in budgets)]
        if problems:
            raise LaneTableError(problems)
        return cls(
            {lane.name: lane for lane in lanes},
            {group.name: group for group in groups},
            partitions,
            {budget.name: budget for budget in budgets},
        )

    def partition_of(self, lane: str) -> int:
        """Partition that carries a lane.

        Raises:
            KeyError: no such lane.
        """
        return self.groups[self.lanes[lane].group].partition

    def lanes_of(self, partition: int) -> list[Lane]:
        """Lanes that a partition carries, in the order of their definition."""
        return [lane for lane in self.lanes.values() if self.groups[lane.group].partition == partition]

    def sharing(self, budget: str) -> list[Group]:
        """Groups that share a budget, in the order of their definition."""
        return [group for group in self.groups.values() if group.budget == budget]

    def quota(self, group: str) -> int | None:
        """How many unfinished records of a group may be held in one class of its partition: its part of the window, by
        its rate. None when it is alone there: then the window bounds it."""
        return self._quotas.get(group)

    def part_of(self, group: str, carrier: str) -> int | None:
        """How many of them may be for one carrier, so that there is room for the others; None when the group does not
        limit it."""
        rate = self.groups[group].carriers.get(carrier)
        if rate is None:
            return None
        quota = self._quotas.get(group)
        whole = self.window(self.groups[group].partition) if quota is None else quota
        return max(1, min(window_of(rate), whole // CARRIER_PART))

    def held(self, partition: int) -> int:
        """How many records of a partition may be delivered beyond one that is not finished."""
        return self._held.get(partition, MAX_HELD)

    def window(self, partition: int) -> int:
        """Delivery window of a partition: how many unfinished records of it may be held.

        A partition without lanes gets the largest single window: what arrives there is refused at once.
        """
        return self._windows.get(partition, WINDOW_MAX)


def _windows(table: LaneTable) -> tuple[dict[int, int], dict[str, int], dict[int, float]]:
    """Windows by partition, the parts of them by group where groups share one, and rates by partition."""
    per_group: dict[str, float] = {}
    for lane in table.lanes.values():
        per_group[lane.group] = per_group.get(lane.group, 0.0) + lane.rate
    per_partition: dict[int, dict[str, int]] = {}
    rates: dict[int, float] = {}
    for name, lanes_rate in per_group.items():
        group = table.groups[name]
        wider = None if group.budget is None else table.budgets[group.budget].rate
        rate = min(each for each in (lanes_rate, group.rate, wider) if each is not None)
        per_partition.setdefault(group.partition, {})[name] = window_of(rate)
        rates[group.partition] = rates.get(group.partition, 0.0) + rate
    windows = {partition: min(WINDOW_SHARED_MAX, sum(parts.values())) for partition, parts in per_partition.items()}
    quotas = {
        name: part * windows[partition] // sum(parts.values())
        for partition, parts in per_partition.items()
        if len(parts) > 1
        for name, part in parts.items()
    }
    return windows, quotas, rates


def window_of(rate: float) -> int:
    """Window of one group by its rate in segments per second."""
    return int(min(WINDOW_MAX, max(WINDOW_MIN, rate * WINDOW_SECONDS)))


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, times in Counter(names).items() if times > 1]


def _problems(table: LaneTable) -> list[str]:
    problems: list[str] = []
    owner: dict[tuple[str, str], str] = {}
    for lane in table.lanes.values():
        if not lane.rate > 0:
            problems.append(f"lane {lane.name}: rate {lane.rate} is not more than 0; pause a lane to stop it")
        if lane.group not in table.groups:
            problems.append(f"lane {lane.name}: group {lane.group} is not defined; give it a partition number")
        first = owner.setdefault((lane.account, lane.address), lane.name)
        if first != lane.name:
            problems.append(f"lane {lane.name}: sender {lane.address} is in lane {first}; keep it in one of them")
    for group in table.groups.values():
        if not 0 <= group.partition < table.partitions:
            problems.append(
                f"group {group.name}: partition {group.partition} is outside 0..{table.partitions - 1}; "
                "choose another number or raise the dispatch partition count"
            )
        if group.rate is not None and not group.rate > 0:
            problems.append(f"group {group.name}: rate {group.rate} is not more than 0; leave it out for no budget")
        for carrier, rate in group.carriers.items():
            if not rate > 0:
                problems.append(
                    f"group {group.name}: rate {rate} of {carrier} is not more than 0; leave it out for none"
                )
        if group.budget is not None and group.budget not in table.budgets:
            problems.append(f"group {group.name}: budget {group.budget} is not defined; define it")
    for budget in table.budgets.values():
        if budget.rate is not None and not budget.rate > 0:
            problems.append(f"budget {budget.name}: rate {budget.rate} is not more than 0; leave it out for none")
        for carrier, cap in budget.day_caps.items():
            if cap.segments < 1 or not 0 <= cap.kept_for_critical <= cap.segments:
                problems.append(
                    f"budget {budget.name}: {carrier} takes {cap.segments} a day, {cap.kept_for_critical} kept"
                )
        places = {group.partition for group in table.sharing(budget.name)}
        if len(places) > 1:
            problems.append(
                f"budget {budget.name}: its groups lie on partitions {', '.join(map(str, sorted(places)))}; "
                "put them on one, so that one process paces them"
            )
    return problems
