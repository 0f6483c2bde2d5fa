"""Where groups lie, and where senders without a place could: pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from commlayer.config import Configuration
from commlayer.config.conversions import group_of
from streams.dispatch.lanes import window_of


@dataclass(slots=True)
class Tenant:
    """A group on a partition.

    Attributes:
        rate: what it may use, segments per second: its budget, or what its lanes have together.
        shared: others may be there.
    """

    group: str
    senders: list[str] = field(default_factory=list)
    rate: float = 0.0
    shared: bool = False


@dataclass(frozen=True, slots=True)
class Proposal:
    """A place for a sender.

    Attributes:
        partition: None when there is none without another partition count.
        why: in words.
    """

    sender: str
    partition: int | None
    shared: bool
    why: str


@dataclass(frozen=True, slots=True)
class PlacementPlan:
    """Groups by partition, and a proposal for each sender without a place."""

    partitions: Mapping[int, list[Tenant]]
    count: int
    proposals: list[Proposal]

    @property
    def free(self) -> list[int]:
        """Partitions without a group."""
        return [number for number in range(self.count) if number not in self.partitions]


def plan(config: Configuration) -> PlacementPlan:
    """From a configuration whose senders may still lack a place."""
    count = config.kafka.partitions.dispatch
    tenants: dict[int, dict[str, Tenant]] = {}
    unplaced: list[str] = []
    for name, sender in config.senders.items():
        group = config.groups.get(sender.group) if sender.group is not None else None
        partition = sender.partition if group is None else group.partition
        if partition is None:
            unplaced.append(name)
            continue
        of_group = tenants.setdefault(partition, {})
        tenant = of_group.setdefault(group_of(name, sender), Tenant(group_of(name, sender)))
        tenant.senders.append(name)
        tenant.rate += sender.rate
        tenant.shared = sender.shared if group is None else group.shared
    for group_name, section in config.groups.items():
        tenant = tenants.setdefault(section.partition, {}).setdefault(
            group_name, Tenant(group_name, shared=section.shared)
        )
        if section.rate is not None:
            tenant.rate = min(tenant.rate, section.rate) if tenant.senders else section.rate
    laid = {number: list(tenants[number].values()) for number in sorted(tenants)}
    return PlacementPlan(laid, count, _proposals(config, laid, count, unplaced))


def _proposals(
    config: Configuration, laid: Mapping[int, list[Tenant]], count: int, unplaced: list[str]
) -> list[Proposal]:
    free = [number for number in range(count) if number not in laid]
    load = {
        number: sum(tenant.rate for tenant in there)
        for number, there in laid.items()
        if number < count and all(tenant.shared for tenant in there)
    }
    proposals = []
    # The fastest first: they gain most by a partition of their own.
    for name in sorted(unplaced, key=lambda each: (-config.senders[each].rate, each)):
        if free:
            number = free.pop(0)
            proposals.append(Proposal(name, number, False, "free"))
        elif load:
            number = min(load, key=lambda each: (load[each], each))
            load[number] += config.senders[name].rate
            proposals.append(Proposal(name, number, True, "shared already, and the least loaded of those"))
        else:
            proposals.append(Proposal(name, None, False, "no partition is free: raise kafka.partitions.dispatch"))
    return proposals


def window(tenants: list[Tenant]) -> int:
    """Messages of a partition that dispatch may hold."""
    return sum(window_of(tenant.rate) for tenant in tenants)
