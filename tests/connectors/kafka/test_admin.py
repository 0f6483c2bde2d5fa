"""Topics and ACLs on real brokers: planned, applied, found as planned, and enforced."""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from connectors.kafka.acls import AppAccess, ConsumerAccess
from connectors.kafka.admin import AdminFailed, TopicAdmin
from connectors.kafka.plan import Actual, ActualTopic, Change, CreateTopic, Plan, plan_installation
from connectors.kafka.settings import KafkaSettings
from schemas.topics import (
    DEAD,
    FEEDBACK_STATUS,
    LIFECYCLE,
    SEGMENT_INDEX_BYTES,
    PartitionCounts,
    Topic,
    catalogue,
    request_topic,
)
from tests.support.brokers import start_own_broker, start_own_cluster
from tests.support.kafka import Kafka, Outgoing
from tests.support.kafka_broker import Broker
from tests.support.users import settings_of, user_of

COUNTS = PartitionCounts(recipient=2, dispatch=3, lifecycle=2, dead=1)


def plan(actual: Actual, **changes: Any) -> Plan:
    arguments: dict[str, Any] = {
        "catalogue": catalogue(["shop", "login"]),
        "counts": COUNTS,
        "replication": 1,
        "dev": True,
        "apps": [AppAccess("shop", "User:shop"), AppAccess("login", "User:login")],
        "consumers": [ConsumerAccess("cdp", "User:cdp", (FEEDBACK_STATUS,))],
        "stage_principals": {"policy": "User:policy"},
    }
    return plan_installation(**{**arguments, **changes}, actual=actual)


class Installation:
    """A broker with SCRAM and ACLs after the first apply."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker
        self.root = Kafka(broker.bootstrap)
        self.admin = TopicAdmin(settings_of(user_of(broker, "admin")))  # a super user by the broker's settings
        self.done: list[Change] = []
        self.first_plan = plan(self.admin.read_actual())
        self.admin.apply(self.first_plan, self.done.append)

    def user(self, name: str) -> Kafka:
        return user_of(self.broker, name)


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    broker = start_own_broker(sasl=True)
    yield Installation(broker)
    broker.close()


def read_refusal(user: Kafka, topic: str, group: str) -> int:
    """Code of the error that a reader gets."""
    with pytest.raises(KafkaException) as caught:
        read_one(user, topic, group)
    return int(caught.value.args[0].code())


def write_refusal(user: Kafka, topic: str) -> int | None:
    """Code of the error that a writer gets; None if the record was written."""
    outcomes: list[KafkaError | None] = []
    producer = Producer({**user.config, "acks": "all", "log_level": 0})
    producer.produce(topic, b"x", on_delivery=lambda error, _: outcomes.append(error))
    producer.flush(60)
    [error] = outcomes
    return None if error is None else error.code()


def read_one(user: Kafka, topic: str, group: str) -> bytes:
    """A record as a consumer of that group reads it; raises KafkaException when it may not."""
    consumer = Consumer(
        {**user.config, "group.id": group, "auto.offset.reset": "earliest", "log_level": 0, "enable.auto.commit": False}
    )
    try:
        consumer.subscribe([topic])
        for _ in range(60):
            message = consumer.poll(1)
            if message is None:
                continue
            error = message.error()
            if error is not None:
                raise KafkaException(error)
            consumer.commit(message, asynchronous=False)
            return message.value() or b""
    finally:
        consumer.close()
    raise AssertionError(f"nothing read from {topic}")


def test_everything_that_was_planned_was_done_in_that_order(installation: Installation) -> None:
    assert tuple(installation.done) == installation.first_plan.changes
    assert len([one for one in installation.done if isinstance(one, CreateTopic)]) == len(catalogue(["shop", "login"]))


def test_topics_have_the_counts_and_settings_of_the_catalogue(installation: Installation) -> None:
    actual = installation.admin.read_actual()
    for topic in catalogue(["shop", "login"]):
        found = actual.topics[topic.name]
        assert (found.partitions, found.replication) == (COUNTS.of(topic.count), 1)
        assert found.settings["segment.index.bytes"] == str(SEGMENT_INDEX_BYTES)
        assert topic.settings().items() <= found.settings.items()


def test_applying_again_plans_nothing(installation: Installation) -> None:
    assert plan(installation.admin.read_actual()) == Plan()


def test_an_app_may_write_its_own_topics_and_no_others(installation: Installation) -> None:
    shop = installation.user("shop")
    shop.produce([Outgoing(request_topic("shop"), b"1"), Outgoing(request_topic("shop", urgent=True), b"2")])
    for topic in (request_topic("login"), request_topic("login", urgent=True), FEEDBACK_STATUS, DEAD):
        assert write_refusal(shop, topic) == KafkaError.TOPIC_AUTHORIZATION_FAILED, topic


def test_an_app_may_not_read_requests_not_even_its_own(installation: Installation) -> None:
    assert read_refusal(installation.user("shop"), request_topic("shop"), "shop") in (
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
    )


def test_a_consumer_may_read_its_feedback_topic_with_its_own_groups_only(installation: Installation) -> None:
    installation.root.produce([Outgoing(FEEDBACK_STATUS, b"delivered"), Outgoing(request_topic("shop"), b"secret")])
    cdp = installation.user("cdp")
    assert read_one(cdp, FEEDBACK_STATUS, "cdp") == b"delivered"
    assert read_one(cdp, FEEDBACK_STATUS, "cdp.nightly") == b"delivered"
    assert read_refusal(cdp, FEEDBACK_STATUS, "cdpx") == KafkaError.GROUP_AUTHORIZATION_FAILED
    assert read_refusal(cdp, FEEDBACK_STATUS, "commlayer.policy") == KafkaError.GROUP_AUTHORIZATION_FAILED
    assert read_refusal(cdp, request_topic("shop"), "cdp") == KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert write_refusal(cdp, FEEDBACK_STATUS) == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_a_stage_may_do_its_work(installation: Installation) -> None:
    policy = installation.user("policy")
    policy.produce([Outgoing(LIFECYCLE, b"1"), Outgoing("comms.dispatch.bulk", b"1", partition=2)])
    policy.produce([Outgoing(request_topic("login"), b"again")])
    assert read_one(policy, request_topic("login"), "commlayer.policy")
    assert read_refusal(policy, LIFECYCLE, "commlayer.policy") == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_rules_that_nobody_configured_are_told_and_kept(installation: Installation) -> None:
    def rule(name: str, operation: AclOperation, permission: AclPermissionType, host: str = "*") -> AclBinding:
        pattern = ResourcePatternType.LITERAL
        return AclBinding(ResourceType.TOPIC, name, pattern, "User:mallory", host, operation, permission)

    strange = [
        rule(request_topic("shop"), AclOperation.WRITE, AclPermissionType.ALLOW),
        rule("*", AclOperation.ALL, AclPermissionType.ALLOW),
        rule(DEAD, AclOperation.READ, AclPermissionType.DENY),
        rule(DEAD, AclOperation.READ, AclPermissionType.ALLOW, host="10.0.0.1"),
        rule("orders", AclOperation.ALL, AclPermissionType.ALLOW),
    ]
    for done in installation.root.admin.create_acls(strange).values():
        done.result(30)
    try:
        assert plan(installation.admin.read_actual()) == Plan(
            drift=(
                "User:mallory may write topic comms.requests.shop, which is not configured",
                "User:mallory may not read topic comms.dead, which is not configured",
                "User:mallory may read topic comms.dead from 10.0.0.1, which is not configured",
                "User:mallory may use topic *, which is not configured",
            )
        )
    finally:
        for found in installation.root.admin.delete_acls([_filter(one) for one in strange]).values():
            assert len(found.result(30)) == 1


def test_a_wrong_password_is_told_at_once_and_never_shown(installation: Installation) -> None:
    settings = settings_of(installation.user("shop"), password="not-the-password")
    with pytest.raises(AdminFailed, match=r"credentials were refused: .*invalid credentials.*as shop") as caught:
        TopicAdmin(settings).read_actual()
    assert "not-the-password" not in str(caught.value)


def test_without_the_right_to_ask_the_answer_says_so(installation: Installation) -> None:
    with pytest.raises(AdminFailed, match=r"asking for .* failed: .*uthorization failed.* as shop"):
        TopicAdmin(settings_of(installation.user("shop"))).read_actual()


def test_a_refused_plan_changes_nothing(installation: Installation) -> None:
    bigger = PartitionCounts(recipient=4, dispatch=6, lifecycle=2, dead=1)
    found = plan(installation.admin.read_actual(), counts=bigger)
    assert found.changes
    with pytest.raises(AdminFailed, match=r"nothing was done: topic comms.requests.login has 2 partitions and 4 are"):
        installation.admin.apply(found)
    assert plan(installation.admin.read_actual()) == Plan()


@pytest.fixture(scope="module")
def cluster() -> Iterator[TopicAdmin]:
    """Three brokers, without credentials."""
    nodes = start_own_cluster(3)
    yield TopicAdmin(KafkaSettings(tuple(node.bootstrap for node in nodes)))
    for node in nodes:
        node.close()


def test_three_brokers_hold_three_replicas_and_two_must_have_each_record(cluster: TopicAdmin) -> None:
    def planned(dead: Topic, partitions: int, actual: Actual) -> Plan:
        return plan(
            actual,
            catalogue=[dead],
            counts=PartitionCounts(dead=partitions),
            replication=3,
            dev=False,
            apps=[],
            consumers=[],
        )

    def apply(dead: Topic, partitions: int) -> ActualTopic:
        cluster.apply(planned(dead, partitions, cluster.read_actual()))
        agreeing = 0
        deadline = time.monotonic() + 60
        while agreeing < 10:  # each broker hears of it in its own time, and any of them may be asked
            assert time.monotonic() < deadline
            actual = cluster.read_actual()
            agreeing = 0 if planned(dead, partitions, actual).changes else agreeing + 1
            time.sleep(0.1)
        return actual.topics[DEAD]

    [dead] = [topic for topic in catalogue([]) if topic.name == DEAD]
    assert (cluster.read_actual().brokers, cluster.read_actual().acls) == (3, None)
    made = apply(dead, 2)
    assert (made.partitions, made.replication) == (2, 3)
    assert (made.settings["min.insync.replicas"], made.settings["unclean.leader.election.enable"]) == ("2", "false")
    # What differs is mended: a setting, and a count that may grow.
    changed = apply(dataclasses.replace(dead, retention_ms=1000), 2)
    assert changed.settings["retention.ms"] == "1000"
    mended = apply(dead, 4)
    assert (mended.partitions, mended.settings["retention.ms"]) == (4, str(dead.retention_ms))


def test_a_change_that_fails_is_named(cluster: TopicAdmin) -> None:
    name = f"comms.{uuid.uuid4().hex}"
    impossible = CreateTopic(name, 1, 3, {"min.insync.replicas": "many"})
    done: list[Change] = []
    first = CreateTopic(f"{name}.first", 1, 1, {})
    with pytest.raises(AdminFailed, match=f"create topic {name}: .* failed: .*min.insync.replicas"):
        cluster.apply(Plan(changes=(first, impossible)), done.append)
    assert done == [first]


def test_nobody_there_is_told_with_the_address() -> None:
    with pytest.raises(AdminFailed, match=r"asking for topics failed: no answer: .*refused.*Kafka at 127.0.0.1:1,"):
        TopicAdmin(KafkaSettings(("127.0.0.1:1",)), timeout_s=1).read_actual()


def _filter(binding: AclBinding) -> AclBindingFilter:
    return AclBindingFilter(
        binding.restype,
        binding.name,
        binding.resource_pattern_type,
        binding.principal,
        binding.host,
        binding.operation,
        binding.permission_type,
    )
