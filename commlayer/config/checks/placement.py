"""Placement: every sender is in exactly one pacing group, every group on a partition that exists and is its own,
and the groups of a budget on one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from commlayer.config.draft import Draft
from commlayer.config.problems import Path, Problem, Severity

UNPLACED = "neither partition nor group."
"""What is said of a sender that has no place yet; `commlayer lanes plan` proposes one."""


def placement(draft: Draft) -> Iterator[Problem]:
    """Groups, their partitions, and who shares one."""
    places: dict[int, list[tuple[Path, bool]]] = defaultdict(list)
    for name, group in draft.groups.items():
        places[group.partition].append((("groups", name), group.shared))
        if not any(sender.group == name for sender in draft.senders.values()):
            fix = f"remove it, or write `group: {name}` at a sender."
            yield Problem(("groups", name), "no sender is in this group.", fix, severity=Severity.WARNING)
    for name, sender in draft.senders.items():
        path: Path = ("senders", name)
        if sender.group is not None:
            if sender.partition is not None:
                fix = "remove it here; the group says the partition."
                yield Problem((*path, "partition"), "the sender is in a group.", fix)
            continue
        if name in draft.groups:
            fix = f"write `group: {name}`, or name the group differently."
            yield Problem(path, "a group has the same name, but the sender is not in it.", fix)
        elif sender.partition is None:
            fix = "add `partition:` with a number that no other group has (see `commlayer lanes plan`), or `group:`."
            yield Problem(path, UNPLACED, fix)
        else:
            places[sender.partition].append((path, sender.shared))
    yield from _budgets(draft)
    for partition, tenants in places.items():
        yield from _tenancy(partition, tenants)
        yield from _existence(draft, partition, tenants)


def _budgets(draft: Draft) -> Iterator[Problem]:
    for budget in draft.budgets:
        groups = [(name, group) for name, group in draft.groups.items() if group.budget == budget]
        if not groups:
            fix = f"remove it, or write `budget: {budget}` at groups."
            yield Problem(("budgets", budget), "no group shares this budget.", fix, severity=Severity.WARNING)
            continue
        first, home = groups[0]
        for name, group in groups[1:]:
            if group.partition != home.partition:
                fix = f"write {home.partition} and `shared: true` at all of them, so that one process paces them."
                what = f"budget {budget} is also that of groups.{first}, on partition {home.partition}."
                yield Problem(("groups", name, "partition"), what, fix)


def _tenancy(partition: int, tenants: list[tuple[Path, bool]]) -> Iterator[Problem]:
    if len(tenants) == 1 or all(shared for _, shared in tenants):
        return
    for path, shared in tenants:
        if not shared:
            others = ", ".join(".".join(map(str, other)) for other, _ in tenants if other != path)
            fix = "give it its own partition, or write `shared: true` at all of them (a slow one may delay the rest)."
            yield Problem((*path, "partition"), f"partition {partition} is also that of {others}.", fix)


def _existence(draft: Draft, partition: int, tenants: list[tuple[Path, bool]]) -> Iterator[Problem]:
    if draft.kafka is None or partition < draft.kafka.partitions.dispatch:
        return
    count = draft.kafka.partitions.dispatch
    for path, _ in tenants:
        fix = f"write 0 to {count - 1}, or raise kafka.partitions.dispatch."
        yield Problem((*path, "partition"), f"partition {partition} does not exist: there are {count}.", fix)
