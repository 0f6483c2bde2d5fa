"""StageWorker as a real process: start, stop, and everything that may be wrong with the broker."""

from __future__ import annotations

import json
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka.admin import AclBinding, AclOperation, AclPermissionType, ResourcePatternType, ResourceType

from tests.support.kafka import Kafka, Outgoing
from tests.support.kafka_broker import Broker
from tests.support.processes import Child, free_ports

_ROOT = Path(__file__).parents[3]
_WAIT_S = 60.0
QUICK = {"session_timeout_s": 6.0, "heartbeat_interval_s": 0.5, "request_timeout_s": 2.0, "commit_interval_s": 0.2}


class StageProcess:
    """One process of tests/connectors/kafka/stage_process.py."""

    def __init__(self, directory: Path, bootstrap: str, topics: dict[str, int], group: str, **more: Any) -> None:
        (self.port,) = free_ports(1)
        settings = {"bootstrap": [bootstrap], **QUICK, **more.pop("settings", {})}
        config = {
            "settings": settings,
            "group": group,
            "topics": topics,
            "health_port": self.port,
            "datadir": str(directory / group),
            **more,
        }
        self.child = Child(
            f"stage {group}",
            [sys.executable, str(Path(__file__).with_name("stage_process.py")), json.dumps(config)],
            log=directory / f"{group}-{self.port}.out",
            cwd=_ROOT,
        )

    def output(self) -> str:
        return self.child.output(1_000_000)

    def health(self, path: str) -> tuple[int, str]:
        """Status and body; 0 while nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def until(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _WAIT_S
        while not condition():
            assert time.monotonic() < deadline, f"not within {_WAIT_S} s: {what}\n{self.output()}"
            time.sleep(0.1)

    def until_ready(self) -> None:
        self.until("ready", lambda: self.health("/health/ready")[0] == 200)

    def until_printed(self, text: str) -> None:
        self.until(text, lambda: text in self.output())

    def stop(self) -> int:
        self.child.signal(signal.SIGTERM)
        return self.child.wait(60)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., StageProcess]]:
    processes: list[StageProcess] = []

    def make(bootstrap: str, topics: dict[str, int], group: str, **more: Any) -> StageProcess:
        processes.append(StageProcess(tmp_path, bootstrap, topics, group, **more))
        return processes[-1]

    yield make
    for process in processes:
        process.child.kill()


def test_it_serves_until_told_to_stop(kafka: Kafka, start: Callable[..., StageProcess]) -> None:
    topic, group = kafka.unique("topic"), kafka.unique("group")
    kafka.create_topics({topic: 2})
    kafka.produce([Outgoing(topic, b"x", partition=p) for p in (0, 1, 1)])
    process = start(kafka.bootstrap, {topic: 2}, group)
    process.until_ready()
    process.until("all is committed", lambda: kafka.committed(group, topic) == {0: 1, 1: 2})
    assert process.health("/health/live")[0] == 200
    _, metrics = process.health("/metrics")
    assert f'commlayer_kafka_delivered_records_total{{topic="{topic}"}} 3.0' in metrics
    assert "commlayer_kafka_lease_age_seconds" in metrics
    assert process.stop() == 0
    printed = process.output()
    assert printed.index("before start") < printed.index("taken") < printed.index("after stop")
    assert "Traceback" not in printed


def test_faust_neither_prints_a_banner_nor_takes_over_output_and_logging(
    kafka: Kafka, start: Callable[..., StageProcess]
) -> None:
    topic, group = kafka.unique("topic"), kafka.unique("group")
    kafka.create_topics({topic: 1})
    kafka.produce([Outgoing(topic, b"x", partition=0)])
    process = start(kafka.bootstrap, {topic: 1}, group)
    process.until_printed("taken 0 0")
    assert process.stop() == 0
    lines = process.output().splitlines()
    assert "taken 0 0" in lines, "a print arrives as it was printed"
    foreign = [line for line in lines if "faust" in line.lower() and " INFO " not in line]
    assert foreign == [], "what Faust says goes through the process's own logging"


@pytest.mark.parametrize(
    ("name", "configured", "complaint"),
    [
        ("missing", {"there": 1, "missing": 1}, "topic {missing} is missing"),
        ("another count", {"there": 2}, "topic {there} has 1 partitions and 2 are configured"),
    ],
)
def test_wrong_topics_end_it_with_a_message_that_names_the_fix(
    kafka: Kafka, start: Callable[..., StageProcess], name: str, configured: dict[str, int], complaint: str
) -> None:
    names = {short: kafka.unique(short) for short in ("there", "missing")}
    kafka.create_topics({names["there"]: 1})
    process = start(kafka.bootstrap, {names[short]: count for short, count in configured.items()}, kafka.unique("g"))
    assert process.child.wait(60) == 2, name
    printed = process.output()
    assert complaint.format(**names) in printed
    assert "commlayer topics apply" in printed
    assert "after stop" in printed


def test_an_exception_in_an_agent_ends_it_with_nothing_of_the_record_committed(
    kafka: Kafka, start: Callable[..., StageProcess]
) -> None:
    topic, group = kafka.unique("topic"), kafka.unique("group")
    kafka.create_topics({topic: 1})
    kafka.produce([Outgoing(topic, value, partition=0) for value in (b"a", b"b", b"poison", b"c")])
    process = start(kafka.bootstrap, {topic: 1}, group, raise_on="poison")
    assert process.child.wait(60) == 1
    assert "this record cannot be taken" in process.output()
    assert "after stop" in process.output()
    assert kafka.committed(group, topic).get(0, 0) <= 2


def test_told_to_stop_while_it_waits_for_the_broker_it_stops(start: Callable[..., StageProcess]) -> None:
    (port,) = free_ports(1)
    process = start(f"127.0.0.1:{port}", {"t": 1}, "group")
    process.until("it waits", lambda: "waiting for Kafka at" in process.health("/health/ready")[1])
    told_at = time.monotonic()
    assert process.stop() == 0
    assert time.monotonic() - told_at < 15


@pytest.mark.timeout(300)
def test_a_broker_that_comes_and_goes_is_waited_for(own_kafka: Broker, start: Callable[..., StageProcess]) -> None:
    kafka = Kafka(own_kafka.bootstrap)
    topic, group = kafka.unique("topic"), kafka.unique("group")
    kafka.create_topics({topic: 2})
    written = 0

    def write_and_await_commit() -> None:
        nonlocal written
        kafka.produce([Outgoing(topic, b"x", partition=p) for p in (0, 1)])
        written += 1
        process.until(f"{written} are committed", lambda: kafka.committed(group, topic) == {0: written, 1: written})

    own_kafka.stop()
    process = start(own_kafka.bootstrap, {topic: 2}, group)
    process.until("it waits", lambda: "waiting for Kafka at" in process.health("/health/ready")[1])
    assert process.health("/health/ready")[0] == 503
    assert process.health("/health/live")[0] == 200
    time.sleep(2)  # several attempts
    own_kafka.restart()
    process.until_ready()
    write_and_await_commit()
    assert process.output().count("kafka does not answer, waiting") == 1
    assert process.output().count("kafka answers") == 1

    for goes, comes in ((own_kafka.kill, own_kafka.restart), (own_kafka.pause, own_kafka.resume)):
        goes()
        process.until("not ready", lambda: process.health("/health/ready")[0] == 503)
        assert process.child.returncode is None
        comes()
        write_and_await_commit()
        process.until_ready()
    taken = [line for line in process.output().splitlines() if line.startswith("taken")]
    assert sorted(taken) == [f"taken {p} {o}" for p in (0, 1) for o in range(written)], "nothing lost, nothing twice"
    assert process.output().count(" ERROR ") < 40, "trouble is not logged ten times a second"

    own_kafka.kill()
    told_at = time.monotonic()
    assert process.stop() == 0
    assert time.monotonic() - told_at < 15
    assert "after stop" in process.output()


def test_it_stops_in_time_while_the_broker_hangs(own_kafka: Broker, start: Callable[..., StageProcess]) -> None:
    kafka = Kafka(own_kafka.bootstrap)
    topic, group = kafka.unique("topic"), kafka.unique("group")
    kafka.create_topics({topic: 1})
    kafka.produce([Outgoing(topic, b"x", partition=0)])
    process = start(own_kafka.bootstrap, {topic: 1}, group, settings={"commit_interval_s": 600.0})
    process.until_printed("taken 0 0")
    own_kafka.pause()
    told_at = time.monotonic()
    assert process.stop() == 0
    assert time.monotonic() - told_at < 15
    assert "partitions are let go without a commit" in process.output()


def test_what_hangs_while_stopping_does_not_keep_the_process(kafka: Kafka, start: Callable[..., StageProcess]) -> None:
    topic, group = kafka.unique("topic"), kafka.unique("group")
    kafka.create_topics({topic: 1})
    kafka.produce([Outgoing(topic, b"x", partition=0)])
    process = start(kafka.bootstrap, {topic: 1}, group, hang_on_stop=True, settings={"commit_interval_s": 600.0})
    process.until_printed("taken 0 0")
    told_at = time.monotonic()
    process.child.signal(signal.SIGTERM)
    assert process.child.wait(60) == 1
    assert time.monotonic() - told_at < 15.5
    assert kafka.committed(group, topic) == {0: 1}


def test_a_thread_that_hangs_does_not_keep_the_process(start: Callable[..., StageProcess]) -> None:
    """Such as one that reads a log from a broker that is gone: the end of the loop waits for it."""
    process = start(f"127.0.0.1:{free_ports(1)[0]}", {"t": 1}, "g", hanging_thread=True, stop_within_s=2.0)
    process.until_printed("before start")
    assert process.stop() == 1
    assert "after stop" in process.output()
    assert "did not stop in time" in process.output()


def test_credentials_reach_the_broker(
    sasl_broker: Broker, sasl_user: Callable[[str], Kafka], start: Callable[..., StageProcess]
) -> None:
    kafka = Kafka(sasl_broker.bootstrap)
    topic, group = kafka.unique("topic"), kafka.unique("group")
    user = sasl_user(kafka.unique("worker"))
    kafka.create_topics({topic: 1})
    kafka.produce([Outgoing(topic, b"x", partition=0)])
    bindings = [
        AclBinding(
            kind,
            name,
            ResourcePatternType.LITERAL,
            f"User:{user.config['sasl.username']}",
            "*",
            AclOperation.READ,
            AclPermissionType.ALLOW,
        )
        for kind, name in ((ResourceType.TOPIC, topic), (ResourceType.GROUP, group))
    ]
    for done in kafka.admin.create_acls(bindings).values():
        done.result(30)
    security = {
        "protocol": "SASL_PLAINTEXT",
        "mechanism": "SCRAM-SHA-512",
        "username": user.config["sasl.username"],
        "password": user.config["sasl.password"],
    }
    process = start(user.bootstrap, {topic: 1}, group, settings={"security": security})
    process.until("all is committed", lambda: kafka.committed(group, topic) == {0: 1})
    assert process.stop() == 0

    denied = start(user.bootstrap, {topic: 1}, kafka.unique("other-group"), settings={"security": security})
    assert denied.child.wait(60) == 1, "a group that it may not use"
    assert "GroupAuthorizationFailed" in denied.output()

    wrong = start(user.bootstrap, {topic: 1}, group, settings={"security": {**security, "password": "wrong-password"}})
    assert wrong.child.wait(60) == 2
    assert "refused the credentials" in wrong.output()
    assert "wrong-password" not in wrong.output()
