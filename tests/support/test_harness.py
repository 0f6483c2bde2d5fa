"""The harness itself: what other tests lean on when they kill, pause and count."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import KafkaException

from tests.support import brokers, fetch, java, registry
from tests.support.java import Unavailable
from tests.support.kafka import Kafka, Outgoing
from tests.support.kafka_broker import Broker
from tests.support.kafka_docker import as_environment
from tests.support.mock_kafka import MockKafka

_SESSION_WITH_A_CHILD = """
import sys, time
from pathlib import Path
from tests.support.processes import Child
child = Child("sleeper", ["sleep", "600"], log=Path(sys.argv[1]) / "log", cwd=Path(sys.argv[1]))
print(child.pid, flush=True)
time.sleep(600)
"""


def test_what_is_written_is_read_back_by_partition_and_offset(kafka: Kafka) -> None:
    topic = kafka.unique("harness")
    kafka.create_topics({topic: 3})
    positions = kafka.produce([Outgoing(topic, b"v%d" % n, b"k%d" % n, headers=[("n", b"%d" % n)]) for n in range(300)])
    records = kafka.consume_all(topic)
    assert {(r.topic, r.partition, r.offset): r.value for r in records} == {
        position: b"v%d" % n for n, position in enumerate(positions)
    }
    assert [(r.partition, r.offset) for r in records] == sorted((r.partition, r.offset) for r in records)
    assert sum(kafka.end_offsets(topic).values()) == 300


def test_a_broker_keeps_what_it_acknowledged_through_kill_and_stop(own_kafka: Broker) -> None:
    kafka = Kafka(own_kafka.bootstrap)
    kafka.create_topics({"a": 1})
    kafka.produce([Outgoing("a", b"1")])
    own_kafka.kill()
    with pytest.raises(KafkaException):
        kafka.admin.list_topics(timeout=1)
    own_kafka.restart()
    kafka.produce([Outgoing("a", b"2")])
    own_kafka.stop()
    own_kafka.restart()
    assert [record.value for record in kafka.consume_all("a")] == [b"1", b"2"]


def test_a_paused_broker_is_silent_until_it_is_resumed(own_kafka: Broker) -> None:
    kafka = Kafka(own_kafka.bootstrap)
    kafka.create_topics({"a": 1})
    own_kafka.pause()
    with pytest.raises(KafkaException):
        kafka.admin.list_topics(timeout=1)
    own_kafka.resume()
    kafka.produce([Outgoing("a", b"1")])


def test_the_mock_cluster_takes_records(mock_kafka: MockKafka) -> None:
    kafka = Kafka(mock_kafka.bootstrap)
    [(topic, _, offset)] = kafka.produce([Outgoing("anything", b"1")])
    assert (topic, offset) == ("anything", 0)


def test_children_end_when_the_session_is_killed(tmp_path: Path) -> None:
    session = subprocess.Popen(
        [sys.executable, "-c", _SESSION_WITH_A_CHILD, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert session.stdout is not None
    child = int(session.stdout.readline())
    session.kill()
    session.wait()
    session.stdout.close()
    deadline = time.monotonic() + 30
    while Path(f"/proc/{child}").exists() and "Z" not in Path(f"/proc/{child}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "the child outlived its session"
        time.sleep(0.05)


def test_with_nothing_installed_the_message_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COMMLAYER_TEST_BOOTSTRAP", raising=False)
    monkeypatch.delenv("COMMLAYER_TEST_REGISTRY", raising=False)
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    kafka = r"Install Docker, or Java 17 \(or newer\) and Maven, or set COMMLAYER_TEST_BOOTSTRAP=.*no java found"
    java.java.cache_clear()
    try:
        with pytest.raises(Unavailable, match=kafka):
            brokers.start_own_broker()
        with pytest.raises(Unavailable, match=kafka):
            brokers.prepare()
        with pytest.raises(Unavailable, match="Install Docker, or Java 17 and Maven, or set COMMLAYER_TEST_REGISTRY"):
            registry.prepare()
        assert fetch.main() == 1
        assert "Install Docker" in capsys.readouterr().err
    finally:
        java.java.cache_clear()


def test_a_given_cluster_and_registry_go_far_and_what_they_do_not_do_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("COMMLAYER_TEST_BOOTSTRAP", "127.0.0.1:1")
    monkeypatch.setenv("COMMLAYER_TEST_REGISTRY", "http://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    java.java.cache_clear()
    try:
        assert fetch.main() == 0
    finally:
        java.java.cache_clear()
    assert "stop, kill or secure a broker" in capsys.readouterr().err


def test_an_old_java_is_named_as_such(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    old = tmp_path / "bin" / "java"
    old.parent.mkdir()
    old.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\"' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    java.java.cache_clear()
    try:
        with pytest.raises(Unavailable, match="older than 17"):
            java.java()
    finally:
        java.java.cache_clear()


def test_settings_become_the_official_image_s_variables() -> None:
    assert as_environment({"listener.name.client.scram-sha-512.x": "1", "a_b": "2"}) == {
        "KAFKA_LISTENER_NAME_CLIENT_SCRAM___SHA___512_X": "1",
        "KAFKA_A__B": "2",
    }
