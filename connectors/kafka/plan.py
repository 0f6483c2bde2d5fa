"""What must change on a cluster so that it is as configured: a pure comparison, shown before anything is done.

Nothing is ever deleted. What is there and not configured is told as drift.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from connectors.kafka.acls import Acl, AppAccess, ConsumerAccess, desired_acls, forbidden_reads, reaches_ours
from schemas.topics import Count, PartitionCounts, Topic

REPLICAS = 3
"""One broker may be down for maintenance and another fail, and acknowledged records are still there."""
IN_SYNC_REPLICAS = 2
"""acks=all then means two copies at least: the loss of one broker loses nothing."""

_MAY_GROW = frozenset({Count.DISPATCH, Count.DEAD})
"""Dispatch names its partitions itself, and a dead letter's place does not matter. For all others, more partitions
would move keys away from what is already written for them."""


@dataclass(frozen=True, slots=True)
class ActualTopic:
    """A topic as it is. `settings` are the effective ones, defaults of the broker included."""

    partitions: int
    replication: int
    settings: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Actual:
    """A cluster as it is.

    Attributes:
        brokers: how many there are.
        topics: those whose names begin with `comms.`.
        acls: grants on topics and groups; None when the brokers have no authorizer.
        foreign_acls: sentences about rules that reach our topics and are no grants of our kind.
    """

    brokers: int
    topics: Mapping[str, ActualTopic]
    acls: frozenset[Acl] | None
    foreign_acls: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class CreateTopic:
    """Make a topic."""

    name: str
    partitions: int
    replication: int
    settings: Mapping[str, str]

    def __str__(self) -> str:
        settings = " ".join(f"{name}={value}" for name, value in sorted(self.settings.items()))
        return f"create topic {self.name}: {self.partitions} partitions, {self.replication} replicas, {settings}"


@dataclass(frozen=True, slots=True)
class AddPartitions:
    """Give a topic more partitions."""

    name: str
    have: int
    want: int

    def __str__(self) -> str:
        return f"add partitions to {self.name}: {self.have} -> {self.want}"


@dataclass(frozen=True, slots=True)
class AlterSettings:
    """Change settings of a topic; the values are those to be set."""

    name: str
    settings: Mapping[str, str]
    before: Mapping[str, str | None]

    def __str__(self) -> str:
        changes = ", ".join(f"{one} {self.before[one]} -> {value}" for one, value in sorted(self.settings.items()))
        return f"alter {self.name}: {changes}"


@dataclass(frozen=True, slots=True)
class Grant:
    """Add an ACL."""

    acl: Acl

    def __str__(self) -> str:
        return f"grant: {self.acl}"


Change = CreateTopic | AddPartitions | AlterSettings | Grant


@dataclass(frozen=True, slots=True)
class Plan:
    """What would be done.

    Attributes:
        changes: in the order in which they are done.
        refusals: why nothing will be done; each says what to do about it.
        drift: what is there and not configured; left alone.
    """

    changes: tuple[Change, ...] = ()
    refusals: tuple[str, ...] = ()
    drift: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The plan for people to read."""
        lines = [f"+ {change}" for change in self.changes]
        lines += [f"! {refusal}" for refusal in self.refusals]
        lines += [f"? {one}" for one in self.drift]
        return lines or ["nothing to do"]


def plan_installation(
    *,
    catalogue: Sequence[Topic],
    counts: PartitionCounts,
    replication: int,
    dev: bool,
    apps: Sequence[AppAccess],
    consumers: Sequence[ConsumerAccess],
    stage_principals: Mapping[str, str],
    actual: Actual,
) -> Plan:
    """Compare what is configured with what is there.

    Args:
        catalogue: topics of the installation (`schemas.topics.catalogue`).
        dev: allows fewer replicas than keep records safe.
        stage_principals: see `desired_acls`.
    """
    refusals = [*_unsafe(replication, dev), *_too_few_brokers(replication, actual.brokers)]
    refusals += forbidden_reads(catalogue, consumers)
    changes: list[Change] = []
    for topic in catalogue:
        found = actual.topics.get(topic.name)
        settings = _settings(topic, replication)
        if found is None:
            changes.append(CreateTopic(topic.name, counts.of(topic.count), replication, settings))
            continue
        refusal = _refused_count(topic, found.partitions, counts.of(topic.count))
        if refusal is not None:
            refusals.append(refusal)
        elif found.partitions < counts.of(topic.count):
            changes.append(AddPartitions(topic.name, found.partitions, counts.of(topic.count)))
        if found.replication < replication:
            refusals.append(
                f"topic {topic.name} has {found.replication} replicas and {replication} are configured: move it with "
                "kafka-reassign-partitions, which commlayer leaves to you"
            )
        differing = {name: value for name, value in settings.items() if found.settings.get(name) != value}
        if differing:
            before = {name: found.settings.get(name) for name in differing}
            changes.append(AlterSettings(topic.name, differing, before))
    wanted = desired_acls(catalogue, apps, consumers, stage_principals)
    if actual.acls is not None:
        changes += [Grant(acl) for acl in sorted(wanted - actual.acls)]
    return Plan(tuple(changes), tuple(refusals), tuple(_drift(catalogue, wanted, actual)))


def _settings(topic: Topic, replication: int) -> dict[str, str]:
    in_sync = IN_SYNC_REPLICAS if replication >= REPLICAS else 1
    return {
        **topic.settings(),
        "min.insync.replicas": str(in_sync),
        "unclean.leader.election.enable": "false",
    }


def _unsafe(replication: int, dev: bool) -> list[str]:
    if replication >= REPLICAS or dev:
        return []
    why = f"replication {replication} does not keep records safe"
    return [f"{why}: configure {REPLICAS}, or give --dev where losing messages does not matter"]


def _too_few_brokers(replication: int, brokers: int) -> list[str]:
    if brokers >= replication:
        return []
    return [f"replication {replication} needs as many brokers, and there are {brokers}"]


def _refused_count(topic: Topic, have: int, want: int) -> str | None:
    if have > want:
        return (
            f"topic {topic.name} has {have} partitions and {want} are configured: Kafka cannot take partitions away; "
            f"configure {have}"
        )
    if have < want and topic.count not in _MAY_GROW:
        return (
            f"topic {topic.name} has {have} partitions and {want} are configured: more partitions would part records "
            f"of one {topic.key} that belong together; configure {have}, or follow the procedure for growing"
        )
    return None


def _drift(catalogue: Iterable[Topic], wanted: frozenset[Acl], actual: Actual) -> list[str]:
    known = {topic.name for topic in catalogue}
    drift = [f"topic {name} is not in the catalogue" for name in sorted(actual.topics) if name not in known]
    if actual.acls is None:
        if wanted:
            drift.append("the brokers have no authorizer: whoever reaches them may write as any app")
        return drift
    ours = {acl.name for acl in wanted}
    drift += [
        f"{acl}, which is not configured"
        for acl in sorted(actual.acls - wanted)
        if acl.name in ours or reaches_ours(acl.resource, acl.name, prefixed=acl.prefixed)
    ]
    return drift + list(actual.foreign_acls)
