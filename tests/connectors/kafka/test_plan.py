from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from connectors.kafka.acls import Acl, AppAccess, ConsumerAccess, Operation, Resource
from connectors.kafka.plan import (
    Actual,
    ActualTopic,
    AddPartitions,
    AlterSettings,
    CreateTopic,
    Grant,
    Plan,
    plan_installation,
)
from schemas.topics import FEEDBACK_STATUS, LIFECYCLE, PartitionCounts, catalogue, request_topic

APPS = [AppAccess("shop", "User:shop"), AppAccess("kiosk", None)]
CONSUMERS = [ConsumerAccess("cdp", "User:cdp", (FEEDBACK_STATUS,))]
STAGES = {"policy": "User:policy", "dispatch": "User:dispatch", "feedback": "User:feedback", "bridge": "User:bridge"}
COUNTS = PartitionCounts(recipient=4, dispatch=8, lifecycle=4, dead=2)
EMPTY = Actual(brokers=3, topics={}, acls=frozenset())


def plan(actual: Actual = EMPTY, **changes: Any) -> Plan:
    arguments: dict[str, Any] = {
        "catalogue": catalogue(["shop", "kiosk"]),
        "counts": COUNTS,
        "replication": 3,
        "dev": False,
        "apps": APPS,
        "consumers": CONSUMERS,
        "stage_principals": STAGES,
    }
    return plan_installation(**{**arguments, **changes}, actual=actual)


def after(done: Plan, *, brokers: int = 3, changed: Mapping[str, ActualTopic] | None = None) -> Actual:
    """The cluster once a first plan was applied, with some topics other than planned."""
    created = [change for change in done.changes if isinstance(change, CreateTopic)]
    topics = {one.name: ActualTopic(one.partitions, one.replication, {**one.settings, "x": "y"}) for one in created}
    acls = frozenset(change.acl for change in done.changes if isinstance(change, Grant))
    return Actual(brokers=brokers, topics={**topics, **(changed or {})}, acls=acls)


def as_planned(name: str) -> ActualTopic:
    return after(plan()).topics[name]


def test_an_empty_cluster_gets_every_topic_of_the_catalogue() -> None:
    created = [change for change in plan().changes if isinstance(change, CreateTopic)]
    assert [(one.name, one.partitions) for one in created] == [
        (topic.name, COUNTS.of(topic.count)) for topic in catalogue(["shop", "kiosk"])
    ]
    assert {one.replication for one in created} == {3}
    for topic, one in zip(catalogue(["shop", "kiosk"]), created, strict=True):
        assert one.settings == {
            **topic.settings(),
            "min.insync.replicas": "2",
            "unclean.leader.election.enable": "false",
        }


def test_what_was_applied_needs_no_change() -> None:
    assert plan(after(plan())) == Plan()
    assert plan(after(plan())).lines() == ["nothing to do"]


def test_the_plan_is_told_in_sentences() -> None:
    shop = request_topic("shop")
    lines = plan(after(plan(), changed={"comms.old": as_planned(shop)}), replication=4).lines()
    assert "? topic comms.old is not in the catalogue" in lines
    assert "! replication 4 needs as many brokers, and there are 3" in lines
    assert plan().lines()[0] == (
        "+ create topic comms.requests.kiosk: 4 partitions, 3 replicas, cleanup.policy=delete min.insync.replicas=2 "
        "retention.ms=604800000 segment.index.bytes=262144 unclean.leader.election.enable=false"
    )
    assert f"+ grant: User:shop may write topic {shop}" in plan().lines()
    assert "+ grant: User:cdp may read group cdp. (and longer names)" in plan().lines()


@pytest.mark.parametrize("name", ["comms.dispatch.bulk", "comms.attempts", "comms.dead"])
def test_topics_whose_partitions_hold_no_keys_together_may_grow(name: str) -> None:
    bigger = PartitionCounts(recipient=4, dispatch=16, lifecycle=4, dead=16)
    found = as_planned(name)
    growth = [change for change in plan(after(plan()), counts=bigger).changes if change.name == name]  # type: ignore[union-attr]  # no grants among them
    assert growth == [AddPartitions(name, found.partitions, 16)]
    assert str(growth[0]) == f"add partitions to {name}: {found.partitions} -> 16"


@pytest.mark.parametrize("kind", ["recipient", "lifecycle", "control"])
def test_topics_that_keep_keys_together_must_not_grow(kind: str) -> None:
    counts = {"recipient": 4, "dispatch": 8, "lifecycle": 4, "dead": 2, "control": 1}
    bigger = PartitionCounts(**{**counts, kind: counts[kind] * 2})
    found = plan(after(plan()), counts=bigger)
    assert found.changes == ()
    have, want = counts[kind], counts[kind] * 2
    assert found.refusals
    assert all(f"has {have} partitions and {want} are configured" in one for one in found.refusals)
    assert all(f"configure {have}, or follow the procedure" in one for one in found.refusals)


def test_no_topic_can_shrink() -> None:
    smaller = PartitionCounts(recipient=4, dispatch=4, lifecycle=4, dead=2)
    found = plan(after(plan()), counts=smaller)
    assert found.changes == ()
    assert len(found.refusals) == 5  # four classes and the attempts
    assert all("Kafka cannot take partitions away; configure 8" in one for one in found.refusals)


def test_a_setting_that_differs_is_altered_and_others_are_left_alone() -> None:
    planned = as_planned(LIFECYCLE)
    settings = {**planned.settings, "retention.ms": "1000", "compression.type": "zstd"}
    del settings["segment.index.bytes"]
    changed = ActualTopic(planned.partitions, 3, settings)
    found = plan(after(plan(), changed={LIFECYCLE: changed}))
    [change] = found.changes
    assert change == AlterSettings(
        LIFECYCLE,
        {"retention.ms": "2592000000", "segment.index.bytes": "262144"},
        {"retention.ms": "1000", "segment.index.bytes": None},
    )
    assert str(change) == (f"alter {LIFECYCLE}: retention.ms 1000 -> 2592000000, segment.index.bytes None -> 262144")


@pytest.mark.parametrize("replication", [1, 2])
def test_fewer_replicas_than_are_safe_need_the_dev_flag(replication: int) -> None:
    [refusal] = plan(replication=replication).refusals
    assert f"replication {replication} does not keep records safe: configure 3" in refusal
    allowed = plan(replication=replication, dev=True)
    assert allowed.refusals == ()
    created = [change for change in allowed.changes if isinstance(change, CreateTopic)]
    assert {(one.replication, one.settings["min.insync.replicas"]) for one in created} == {(replication, "1")}


def test_more_replicas_than_brokers_are_refused() -> None:
    assert plan(Actual(brokers=1, topics={}, acls=None)).refusals == (
        "replication 3 needs as many brokers, and there are 1",
    )


def test_a_topic_with_too_few_replicas_is_refused_before_its_writes_are() -> None:
    planned = as_planned(LIFECYCLE)
    found = plan(after(plan(), changed={LIFECYCLE: ActualTopic(planned.partitions, 1, planned.settings)}))
    [refusal] = found.refusals
    assert refusal.startswith(f"topic {LIFECYCLE} has 1 replicas and 3 are configured")


def test_a_consumer_that_asks_for_requests_is_refused() -> None:
    greedy = ConsumerAccess("crm", "User:crm", (FEEDBACK_STATUS, request_topic("shop")))
    [refusal] = plan(consumers=[greedy]).refusals
    assert refusal.startswith("consumer crm may not read comms.requests.shop: consumers may read comms.consent,")


def test_what_nobody_configured_is_told_and_left_alone() -> None:
    done = after(plan())
    assert done.acls is not None
    strange = {
        Acl("User:mallory", Resource.TOPIC, request_topic("shop"), Operation.WRITE),
        Acl("User:backup", Resource.TOPIC, "*", Operation.READ),
        Acl("User:team", Resource.TOPIC, "com", Operation.READ, prefixed=True),
        Acl("User:team", Resource.GROUP, "commlayer.dispatch", Operation.READ),
        Acl("User:other", Resource.TOPIC, "orders", Operation.WRITE),
        Acl("User:other", Resource.TOPIC, "community", Operation.WRITE, prefixed=True),
        Acl("User:other", Resource.GROUP, "orders", Operation.READ),
    }
    foreign = "User:banned may not write topic comms.dead, which is not configured"
    actual = Actual(3, {**done.topics, "comms.requests.gone": as_planned(LIFECYCLE)}, done.acls | strange, [foreign])
    assert plan(actual) == Plan(
        drift=(
            "topic comms.requests.gone is not in the catalogue",
            "User:backup may read topic *, which is not configured",
            "User:mallory may write topic comms.requests.shop, which is not configured",
            "User:team may read group commlayer.dispatch, which is not configured",
            "User:team may read topic com (and longer names), which is not configured",
            foreign,
        )
    )


def test_without_an_authorizer_nothing_is_granted_and_that_is_told() -> None:
    found = plan(Actual(brokers=3, topics=after(plan()).topics, acls=None))
    assert found.changes == ()
    assert found.drift == ("the brokers have no authorizer: whoever reaches them may write as any app",)
