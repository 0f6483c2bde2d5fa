"""Processes as an operator runs them: started by command, watched by their health, stopped by SIGTERM."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka import Consumer, TopicPartition

from schemas.codec import SINGLE_OBJECT_MAGIC, SingleObjectCodec
from schemas.records import DeadLetter
from schemas.topics import DEAD, request_topic
from tests.commlayer.conftest import Commlayer
from tests.commlayer.programs import Program
from tests.support.kafka import Kafka, Outgoing
from tests.support.processes import free_ports

STAGES = ("policy", "dispatch", "feedback")
STOPPED_WITHIN_S = 15.0


def health(port: int, kind: str = "ready") -> tuple[int, dict[str, Any]]:
    """Status code and parts; 0 when nobody listens."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/{kind}", timeout=10) as answer:
            return answer.status, json.load(answer)["parts"]
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)["parts"]
    except OSError:
        return 0, {}


def until(condition: Callable[[], object], program: Program, what: str, timeout_s: float = 90.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert program.child.returncode is None, f"ended before {what}:\n{program.child.output()}"
        assert time.monotonic() < deadline, f"{what}: not within {timeout_s} s:\n{program.child.output()}"
        time.sleep(0.1)


def starts_of(child: str, program: Program) -> int:
    return sum(event.get("child") == child and event["event"] == "started" for event in program.events())


def the_event(name: str, program: Program) -> dict[str, Any]:
    found = [event for event in program.events() if event["event"] == name]
    assert len(found) == 1, program.child.output()
    return found[0]


@pytest.fixture
def ports(config_file: Path, data: dict[str, Any]) -> dict[str, int]:
    """Where the processes tell their health."""
    ports = dict(zip((*STAGES, "all"), free_ports(4), strict=True))
    changed = yaml.safe_load(config_file.read_text()) | {"health": dict(ports)}
    config_file.write_text(yaml.safe_dump(changed))
    return ports | {"bridge": int(data["bridge"]["listen"].rpartition(":")[2])}


@pytest.mark.timeout(300)
def test_run_all_comes_up_delivers_mends_itself_and_stops_in_time(
    config_file: Path, ports: dict[str, int], on_kafka: Kafka, commlayer: Commlayer, registry_url: str
) -> None:
    config_file.write_text(config_file.read_text() + f"registry: {{url: {registry_url}}}\n")
    assert commlayer("schemas", "register").exit_code == 0
    with Program("run", "all", "--twin", config=config_file) as program:
        until(lambda: all(health(port)[0] == 200 for port in ports.values()), program, "all are ready")
        assert all(health(port, "live")[0] == 200 for port in ports.values())
        assert health(ports["all"])[1].keys() == {*STAGES, "bridge", "twin"}
        with urllib.request.urlopen(f"http://127.0.0.1:{ports['all']}/metrics", timeout=10) as metrics:
            assert 'commlayer_supervisor_starts_total{process="policy"} 1.0' in metrics.read().decode()

        published = commlayer(
            "publish", "--app", "shop", "--to", "+1 415 555 0123", "--category", "otp", "--body", "Your code is SESAME"
        )
        assert published.exit_code == 0, published.output
        status = commlayer("status", published.stdout.strip(), "--wait", "60", "--json")
        assert json.loads(status.stdout)["status"] == "delivered", status.output

        pid = next(event["pid"] for event in program.events() if event.get("child") == "policy")
        os.kill(pid, signal.SIGKILL)
        until(lambda: starts_of("policy", program) == 2, program, "policy was started again")
        until(lambda: health(ports["policy"])[0] == 200, program, "policy is ready again")

        began = time.monotonic()
        assert program.stop() == 0, program.child.output()
        assert time.monotonic() - began < STOPPED_WITHIN_S
    assert all(health(port)[0] == 0 for port in ports.values())
    assert all(json.loads(line)["process"] for line in program.lines())
    log = program.log.read_text()
    assert "SESAME" not in log
    assert "+14155550123" not in log
    assert "s3cret-value" not in log
    assert "Traceback" not in log


@contextmanager
def each_process(config_file: Path) -> Iterator[dict[str, Program]]:
    """All of them, started at once."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(Program("run", name, config=config_file)) for name in (*STAGES, "bridge")}


def answers(port: int, status: int) -> bool:
    return health(port)[0] == status


def names(program: Program, what: str) -> bool:
    return any(what in str(event) for event in program.events())


def test_every_process_waits_for_its_broker_and_says_so_once(config_file: Path, ports: dict[str, int]) -> None:
    with each_process(config_file) as programs:
        for name, program in programs.items():
            until(partial(answers, ports[name], 503), program, f"{name} tells that it is not ready")
            until(partial(names, program, "127.0.0.1:1"), program, "the log says why")
            assert health(ports[name], "live")[0] == 200, name
        time.sleep(2)  # several attempts
        for name, program in programs.items():
            warnings = [event for event in program.events() if event["level"] == "warning"]
            assert len(warnings) <= 2, (name, warnings)  # the stage's and the publisher's
            assert program.stop() == 0, program.child.output()


def test_a_missing_topic_stops_every_process_with_the_fix(config_file: Path, cluster: Kafka) -> None:
    changed = yaml.safe_load(config_file.read_text())
    changed["kafka"]["bootstrap"] = [cluster.bootstrap]
    changed["kafka"]["partitions"]["lifecycle"] = 3
    changed["kafka"]["partitions"]["dispatch"] = 3
    changed["apps"]["forgotten"] = changed["apps"]["shop"]
    config_file.write_text(yaml.safe_dump(changed))
    with each_process(config_file) as programs:
        for program in programs.values():
            assert program.child.wait(60) == 2, program.child.output()
    for name, program in programs.items():
        assert "run `commlayer topics apply`" in the_event("cannot start", program)["why"], name


def test_run_all_ends_with_code_2_when_a_topic_is_wrong(config_file: Path, cluster: Kafka) -> None:
    changed = yaml.safe_load(config_file.read_text())
    changed["kafka"]["bootstrap"] = [cluster.bootstrap]
    changed["kafka"]["partitions"]["recipient"] = 7
    config_file.write_text(yaml.safe_dump(changed))
    with Program("run", "all", config=config_file) as program:
        assert program.child.wait(60) == 2, program.child.output()
    assert any(event["event"] == "wrongly configured, stopping everything" for event in program.events())


def test_what_retention_took_before_policy_saw_it_is_a_dead_letter(config_file: Path, on_kafka: Kafka) -> None:
    topic = request_topic("shop")
    [(_, partition, offset)] = on_kafka.produce([Outgoing(topic, b"never read", partition=0)])
    group = Consumer({**on_kafka.config, "group.id": "commlayer.policy"})
    group.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
    group.close()
    [gone] = on_kafka.admin.delete_records([TopicPartition(topic, partition, offset + 1)]).values()
    gone.result(30)

    def lost() -> list[DeadLetter]:
        # Other tests of this broker write letters through a registry.
        ours = [
            each.value for each in on_kafka.consume_all(DEAD) if (each.value or b"").startswith(SINGLE_OBJECT_MAGIC)
        ]
        letters = [SingleObjectCodec().decode(value) for value in ours if value is not None]
        return [each for each in letters if isinstance(each, DeadLetter) and each.reason == "lost"]

    with Program("run", "policy", config=config_file) as program:
        until(lost, program, "a letter about the loss")
    [letter] = lost()
    assert (letter.source_topic, letter.source_partition, letter.source_offset) == (topic, partition, offset)
    assert "up to 1 records" in letter.detail


def test_run_needs_only_the_secrets_of_its_process(config_file: Path, ports: dict[str, int]) -> None:
    without = {"TOKEN": "", "SECRET": ""}
    with Program("run", "policy", config=config_file, environment=without) as program:
        until(lambda: health(ports["policy"])[0] == 503, program, "it started")
    with Program("run", "dispatch", config=config_file, environment=without) as program:
        assert program.child.wait(60) == 2
    assert "environment variable SECRET is empty" in program.log.read_text()
    assert "TOKEN" not in program.log.read_text()


def test_a_free_port_for_health_is_told_in_the_log(config_file: Path) -> None:
    with Program("run", "policy", "--health-port", "0", config=config_file) as program:
        told = json.loads(program.line_with("health listens"))
        assert health(told["port"])[0] == 503


def test_a_taken_health_port_is_told_in_one_line(config_file: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with Program("run", "policy", "--health-port", port, config=config_file) as program:
            assert program.child.wait(60) == 1
    refusal = the_event("cannot start", program)
    assert f"cannot serve health on 127.0.0.1:{port}: " in refusal["why"]
    assert "Traceback" not in program.log.read_text()


def test_a_bridge_whose_address_is_taken_is_told_in_one_line(config_file: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with Program("run", "bridge", "--listen", listen, config=config_file) as program:
            assert program.child.wait(60) == 1
    refusal = the_event("cannot listen", program)
    assert refusal["level"] == "error"
    assert "Traceback" not in program.log.read_text()
