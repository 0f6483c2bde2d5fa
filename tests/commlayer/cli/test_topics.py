"""Topics and access rights on real brokers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.topics import catalogue
from tests.commlayer.conftest import Commlayer
from tests.support.kafka import Kafka
from tests.support.kafka_broker import Broker


def test_a_plan_shows_what_apply_then_does_and_afterwards_nothing(
    commlayer: Commlayer, config_file: Path, own_kafka: Broker
) -> None:
    config_file.write_text(config_file.read_text().replace("127.0.0.1:1\n", f"{own_kafka.bootstrap}\n"))
    planned = commlayer("topics", "plan", "--dev")
    assert planned.exit_code == 0
    created = [line for line in planned.stdout.splitlines() if line.startswith("+ create topic")]
    assert len(created) == len(catalogue(["shop"]))
    applied = commlayer("topics", "apply", "--dev")
    assert applied.exit_code == 0, applied.output
    assert set(created) <= set(applied.stdout.splitlines())
    assert applied.stdout.splitlines()[-1] == f"{len(created)} changes made"
    topics = Kafka(own_kafka.bootstrap).admin.list_topics(timeout=30).topics
    assert len(topics["comms.requests.shop.urgent"].partitions) == 2
    again = commlayer("topics", "apply", "--dev")
    assert again.exit_code == 0
    assert again.stdout.splitlines() == ["? the brokers have no authorizer: whoever reaches them may write as any app"]


def test_too_few_replicas_are_refused_without_dev(commlayer: Commlayer, on_kafka: Kafka) -> None:
    for command in ("plan", "apply"):
        result = commlayer("topics", command)
        assert result.exit_code == 2
        assert "! replication 1 does not keep records safe" in result.stderr


def test_a_count_that_cannot_be_changed_is_refused_with_the_fix(
    commlayer: Commlayer, on_kafka: Kafka, config_file: Path
) -> None:
    config_file.write_text(config_file.read_text().replace("recipient: 2", "recipient: 4"))
    result = commlayer("topics", "apply", "--dev")
    assert result.exit_code == 2
    assert "topic comms.consent has 2 partitions and 4 are configured" in result.stderr
    assert "configure 2" in result.stderr


def test_a_broker_that_does_not_answer_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, commlayer: Commlayer
) -> None:
    monkeypatch.setattr("commlayer.cli.topics.ANSWER_WITHIN_S", 1.0)
    result = commlayer("topics", "plan", "--dev")
    assert result.exit_code == 1
    assert "asking for topics failed: no answer" in result.stderr
    assert "fix: check kafka.bootstrap" in result.stderr


def test_grants_of_apps_consumers_and_stages_are_part_of_the_plan(
    commlayer: Commlayer, config_file: Path, sasl_broker: Broker
) -> None:
    data: dict[str, Any] = yaml.safe_load(config_file.read_text())
    data["kafka"]["bootstrap"] = [sasl_broker.bootstrap]
    data["kafka"]["principals"] = {"policy": "User:policy"}
    config_file.write_text(yaml.safe_dump(data))
    shown = commlayer("topics", "plan", "--dev").stdout
    assert "+ grant: User:shop may write topic comms.requests.shop" in shown
    assert "+ grant: User:cdp may read topic comms.feedback.status" in shown
    assert "+ grant: User:policy may read group commlayer.policy" in shown


def test_credentials_come_from_the_environment_and_wrong_ones_are_told(
    commlayer: Commlayer, config_file: Path, sasl_broker: Broker, sasl_user: Callable[[str], Kafka]
) -> None:
    sasl_user("nobody-special")
    data: dict[str, Any] = yaml.safe_load(config_file.read_text())
    data["kafka"]["bootstrap"] = [str(sasl_broker.sasl_bootstrap)]
    data["kafka"]["security"] = {
        "protocol": "SASL_PLAINTEXT",
        "mechanism": "SCRAM-SHA-512",
        "username": "nobody-special",
        "password": {"env": "KAFKA_PASSWORD"},
    }
    config_file.write_text(yaml.safe_dump(data))
    right = commlayer("topics", "plan", "--dev", environment={"KAFKA_PASSWORD": "nobody-special-password"})
    assert "refused" not in right.output
    wrong = commlayer("topics", "plan", "--dev", environment={"KAFKA_PASSWORD": "a-wrong-password"})
    assert wrong.exit_code == 1
    assert "the credentials were refused" in wrong.stderr
    assert "a-wrong-password" not in wrong.stderr


@pytest.mark.parametrize("command", ["plan", "apply"])
def test_a_missing_password_is_a_configuration_error(commlayer: Commlayer, config_file: Path, command: str) -> None:
    data: dict[str, Any] = yaml.safe_load(config_file.read_text())
    data["kafka"]["security"] = {
        "protocol": "SASL_SSL",
        "mechanism": "PLAIN",
        "username": "x",
        "password": {"env": "KAFKA_PASSWORD"},
    }
    config_file.write_text(yaml.safe_dump(data))
    result = commlayer("topics", command, environment={"KAFKA_PASSWORD": None})
    assert result.exit_code == 2
    assert "environment variable KAFKA_PASSWORD is not set" in result.stderr
