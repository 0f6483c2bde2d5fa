"""Every process and every command under a Kafka user of its own, on brokers that enforce what `topics apply` granted:
nothing that anybody has to do is forbidden, at a first start and at a second one, which finds a log to read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Consumer
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType

from commlayer.cli import main
from schemas.records import CustomerProfile, MessageClass, MessageStatus
from schemas.topics import (
    CONTROL,
    DEAD,
    FEEDBACK_INBOUND,
    FEEDBACK_STATUS,
    INBOUND,
    PROFILES,
    dispatch_topic,
    request_topic,
)
from tests.streams.cluster import COUNTS
from tests.support.brokers import start_own_broker
from tests.support.kafka import Kafka, Outgoing
from tests.support.kafka_broker import Broker
from tests.support.users import user_of
from tests.support.waiting import wait_until

from .bad_records import home, inbound, request
from .road import SECRETS, STAGES, Road, laid_road

OWN = (*STAGES, "operator")
USERS = (*OWN, "shop", "cdp", "admin")
SETTINGS: dict[str, Any] = {
    "kafka": {
        "security": {
            "protocol": "SASL_PLAINTEXT",
            "mechanism": "SCRAM-SHA-512",
            "username_from": {"env": "KAFKA_USER"},
            "password": {"env": "KAFKA_PASSWORD"},
        },
        "principals": {name: f"User:{name}" for name in (*OWN, "cdp")},
    },
    "senders": {
        "local": {"account": "main", "address": "+14155550100", "type": "long_code", "rate": 50, "partition": 2},
    },
    "pools": {"all": ["local"]},
    "categories": {
        "otp": {"class": "critical", "doubt": "resend"},
        "service": {"class": "normal", "doubt": "resend", "quiet_hours": "exempt"},
    },
    "apps": {"shop": {"categories": ["otp", "service"], "pool": "all", "principal": "User:shop"}},
    "consumers": {"cdp": {"principal": "User:cdp", "topics": ["status", "inbound", "consent"]}},
    "countries": {"allow": ["US"]},
    "profiles": {"source": "topic"},
}
ANN, BEA, CHRIS = "+14155552001", "+14155552002", "+14155552003"


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    broker = start_own_broker(sasl=True)
    yield broker
    broker.close()


@pytest.fixture(scope="module")
def users(broker: Broker) -> dict[str, Kafka]:
    return {name: user_of(broker, name) for name in USERS}


@pytest.fixture(scope="module")
def road(
    broker: Broker, users: dict[str, Kafka], registry_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Road]:
    """Granted by `topics apply`, and started."""

    def login(name: str) -> dict[str, str]:
        return {"KAFKA_USER": name, "KAFKA_PASSWORD": f"{name}-password"}

    SETTINGS["kafka"]["bootstrap"] = [broker.sasl_bootstrap]
    root = Kafka(broker.bootstrap)
    with laid_road(root, registry_url, tmp_path_factory.mktemp("access"), SETTINGS, login) as road:
        applied = road.run("topics", "apply", "--dev", user="admin")
        assert applied.returncode == 0, applied.stdout + applied.stderr
        road.register()
        road.codec.prepare()
        road.start_twin()
        road.start_stages()
        road.wait_ready()
        yield road


def ask(road: Road, to: str, *more: str) -> str:
    """Ask for a message as the shop; its id."""
    return works(road, "publish", "--app", "shop", "--to", to, "--body", "hello", *more, user="shop").strip()


def run(road: Road, *command: str, user: str = "operator") -> Result:
    """A command as this user."""
    runner = CliRunner(env={**SECRETS, **road.login(user), "COLUMNS": "200"})  # nothing is folded
    return runner.invoke(main, ["--config", str(road.configuration), *command], catch_exceptions=False)


def works(road: Road, *command: str, user: str = "operator") -> str:
    """What a command prints that must not fail."""
    done = run(road, *command, user=user)
    assert done.exit_code == 0, f"{command}: {done.output}"
    assert "uthoriz" not in done.output, command
    return done.stdout


def aside(to: str) -> int:
    """A partition that is not this person's."""
    return (home(to) + 1) % COUNTS.recipient


@pytest.mark.timeout(300)
def test_every_process_does_its_work_and_does_it_again_after_a_restart(road: Road, users: dict[str, Kafka]) -> None:
    asked = [ask(road, ANN, "--category", "service"), ask(road, ANN, "--category", "otp")]
    road.twin("/inbound", {"from": BEA, "to": "+14155550100", "body": "STOP"})
    # What lies in the wrong partition is written again by policy, whoever else may write there.
    profile, reply = CustomerProfile(recipient=CHRIS, time_zone="America/Chicago", updated_at=1), inbound(CHRIS)
    for record, topic, writer in ((profile, PROFILES, "cdp"), (reply, INBOUND, "bridge")):
        users[writer].produce([Outgoing(topic, road.codec.encode(record), CHRIS.encode(), aside(CHRIS))])
    stray = request(CHRIS)
    users["shop"].produce([Outgoing(request_topic("shop"), road.codec.encode(stray), CHRIS.encode(), aside(CHRIS))])
    wait_until(lambda: len(road.final_statuses()) == 3, "three messages to be final", within_s=60)
    wait_until(lambda: at_home(road, PROFILES) and at_home(road, INBOUND), "strays to be at home", within_s=30)

    for name in STAGES:
        assert road.children[name].stop(timeout_s=20) == 0, road.children[name].output()
    road.start_stages()
    road.wait_ready()
    asked.append(ask(road, ANN, "--category", "service"))
    refused = ask(road, BEA, "--category", "service")
    wait_until(lambda: {*asked, refused} <= road.final_statuses().keys(), "two more to be final", within_s=60)
    told = road.final_statuses()
    assert {told[each].status for each in asked} == {MessageStatus.DELIVERED}
    assert (told[refused].status, told[refused].reason) == (MessageStatus.DENIED, "opted_out")
    assert not [line for line in road.logs().splitlines() if "uthoriz" in line]


@pytest.mark.timeout(300)
def test_every_command_does_its_work(road: Road, tmp_path_factory: pytest.TempPathFactory) -> None:
    message_id = ask(road, ANN, "--category", "service")
    assert "delivered" in works(road, "status", message_id, "--wait", "30")
    assert "delivered" in works(road, "explain", message_id)
    rehearsed = tmp_path_factory.mktemp("requests") / "requests.jsonl"
    rehearsed.write_text(json.dumps({"to": ANN, "category": "service", "body": "hi"}) + "\n")
    told = works(road, "explain", "--dry-run", str(rehearsed), "--app", "shop")
    assert [line for line in told.splitlines() if "not available" in line and "quotas:" not in line] == []
    works(road, "cancel", message_id, "--app", "shop", "--to", ANN, user="shop")
    works(road, "consent", "set", "opt-out", "--to", CHRIS, "--evidence", "letter", "--by", "ann")
    assert "letter" in works(road, "consent", "show", "--to", CHRIS)
    works(road, "consent", "export", "all")
    works(road, "lanes", "pause", "local", "--by", "ann")
    assert "paused" in works(road, "lanes", "list")
    works(road, "lanes", "resume", "local", "--by", "ann")
    works(road, "dead", "list")


def test_a_replay_takes_the_right_to_write_for_the_app(road: Road, users: dict[str, Kafka]) -> None:
    users["shop"].produce([Outgoing(request_topic("shop"), b"nonsense", ANN.encode(), home(ANN))])
    wait_until(lambda: "nonsense" in str(road.kafka.consume_all(DEAD)), "a letter", within_s=30)
    replay = ("dead", "replay", "--app", "shop", "--by", "ann", "--why", "a test", "--force", "--yes")
    refused = run(road, *replay)
    assert (refused.exit_code, "Fix" in refused.output) == (2, False), refused.output
    assert "Topic authorization failed\nfix: run it as a user who may, or give this one the right" in refused.stderr
    topic, pattern = request_topic("shop"), ResourcePatternType.LITERAL
    right = AclBinding(
        ResourceType.TOPIC, topic, pattern, "User:operator", "*", AclOperation.WRITE, AclPermissionType.ALLOW
    )
    for granted in road.kafka.admin.create_acls([right]).values():
        granted.result(30)
    wait_until(lambda: run(road, *replay).exit_code == 0, "the right to have reached every part of the broker")
    assert "replayed by ann" in works(road, "dead", "list", "--all")


def test_a_consumer_reads_what_it_was_promised(road: Road, users: dict[str, Kafka]) -> None:
    consumer = Consumer({**users["cdp"].config, "group.id": "cdp", "auto.offset.reset": "earliest", "log_level": 0})
    consumer.subscribe([FEEDBACK_STATUS, FEEDBACK_INBOUND])
    seen: set[str] = set()

    def both() -> bool:
        message = consumer.poll(0.5)
        if message is not None:
            assert message.error() is None, message.error()
            seen.add(message.topic() or "")
        return seen == {FEEDBACK_STATUS, FEEDBACK_INBOUND}

    wait_until(both, "a status and a reply", within_s=30)
    consumer.close()


def test_nobody_got_more_than_that(road: Road, users: dict[str, Kafka]) -> None:
    for user, topic in (
        ("feedback", request_topic("shop")),
        ("bridge", dispatch_topic(MessageClass.BULK)),
        ("policy", FEEDBACK_STATUS),
        ("shop", CONTROL),
    ):
        with pytest.raises(Exception, match="uthoriz"):
            users[user].produce([Outgoing(topic, b"x")])


def at_home(road: Road, topic: str) -> bool:
    return any(
        stored.key == CHRIS.encode() and stored.partition == home(CHRIS) for stored in road.kafka.consume_all(topic)
    )
