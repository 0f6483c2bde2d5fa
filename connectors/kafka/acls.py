"""Who may do what on Kafka: an app writes its own request topics, a consumer reads its feedback topics, a stage does
what the topic catalogue says of it. Identity is the topic an app wrote to; these ACLs are what makes that true."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from schemas.topics import PREFIX, Topic

from .settings import READER_GROUP

STAGE_GROUPS = "commlayer."
"""Consumer group of a stage: this and the stage's name."""
_CONSUMERS = "consumers"  # as the catalogue calls the outside readers of a topic


class Resource(StrEnum):
    """Kinds of resources that we grant."""

    TOPIC = "topic"
    GROUP = "group"


class Operation(StrEnum):
    """What may be done, in the order in which people read it. DESCRIBE is part of READ and WRITE in Kafka's own
    authorizer, and stands here for others. An idempotent producer needs nothing besides WRITE (KIP-679)."""

    READ = "read"
    WRITE = "write"
    DESCRIBE = "describe"


@dataclass(frozen=True, slots=True, order=True)
class Acl:
    """One grant.

    Attributes:
        principal: as the brokers know it, `User:shop`.
        prefixed: `name` is the beginning of names.
    """

    principal: str
    resource: Resource
    name: str
    operation: Operation
    prefixed: bool = False

    def __str__(self) -> str:
        return f"{self.principal} may {self.operation} {self.resource} {named(self.name, prefixed=self.prefixed)}"


def named(name: str, *, prefixed: bool) -> str:
    """The name of a resource, or of all whose names begin with it, for people."""
    return f"{name} (and longer names)" if prefixed else name


@dataclass(frozen=True, slots=True)
class AppAccess:
    """An app and its principal; None: it comes only through the gateway."""

    name: str
    principal: str | None


@dataclass(frozen=True, slots=True)
class ConsumerAccess:
    """An outside reader. It reads with the consumer group named like itself, or any that begins with its name and a
    dot.

    Attributes:
        topics: full topic names.
    """

    name: str
    principal: str
    topics: tuple[str, ...]


def desired_acls(
    catalogue: Iterable[Topic],
    apps: Iterable[AppAccess],
    consumers: Iterable[ConsumerAccess],
    stage_principals: Mapping[str, str],
) -> frozenset[Acl]:
    """Every grant of the installation.

    Args:
        stage_principals: principal of each stage, and of outside parties of the catalogue such as `operator` and `crm`;
            a party without one gets nothing.
    """
    principals = dict(stage_principals)
    principals |= {f"app:{app.name}": app.principal for app in apps if app.principal is not None}
    acls: set[Acl] = set()
    for topic in catalogue:
        parties = (
            (topic.writers, Operation.WRITE),
            (topic.readers, Operation.READ),
            (topic.watchers, Operation.DESCRIBE),
        )
        acls.update(
            acl
            for names, operation in parties
            for party in names
            if party in principals
            for acl in _on_topic(principals[party], topic.name, operation)
        )
        acls.update(
            Acl(principals[party], Resource.GROUP, READER_GROUP, Operation.DESCRIBE)
            for party in topic.readers
            if party in principals
        )
        # How much of a topic waits is its end less what its readers have committed.
        acls.update(
            Acl(principals[party], Resource.GROUP, STAGE_GROUPS + reader, Operation.DESCRIBE)
            for party in topic.watchers
            if party in principals
            for reader in topic.readers
        )
    for stage, principal in stage_principals.items():
        acls |= _own_groups(principal, STAGE_GROUPS + stage)
    for consumer in consumers:
        for name in consumer.topics:
            acls |= _on_topic(consumer.principal, name, Operation.READ)
        acls |= _own_groups(consumer.principal, consumer.name)
    return frozenset(acls)


def forbidden_reads(catalogue: Iterable[Topic], consumers: Iterable[ConsumerAccess]) -> list[str]:
    """A sentence for each topic that a consumer asks for and may not have: requests hold bodies of all apps."""
    readable = {topic.name for topic in catalogue if _CONSUMERS in topic.readers}
    return [
        f"consumer {consumer.name} may not read {name}: consumers may read {', '.join(sorted(readable))}"
        for consumer in consumers
        for name in consumer.topics
        if name not in readable
    ]


def reaches_ours(resource: Resource, name: str, *, prefixed: bool) -> bool:
    """Whether a rule about resources of this name or beginning concerns commlayer's topics or its stages' groups."""
    root = PREFIX if resource is Resource.TOPIC else STAGE_GROUPS
    if name == "*" or name.startswith(root):
        return True
    return prefixed and root.startswith(name)


def _on_topic(principal: str, name: str, operation: Operation) -> set[Acl]:
    return {Acl(principal, Resource.TOPIC, name, one) for one in (operation, Operation.DESCRIBE)}


def _own_groups(principal: str, name: str) -> set[Acl]:
    # Not simply every group that begins with the name: consumer `cd` must not commit for consumer `cdp`.
    return {
        Acl(principal, Resource.GROUP, name, Operation.READ),
        Acl(principal, Resource.GROUP, f"{name}.", Operation.READ, prefixed=True),
    }
