"""A small installation: its file, its secrets, and a broker of its own where one is needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from commlayer.cli import main
from tests.support.brokers import start_own_broker
from tests.support.kafka import Kafka
from tests.support.processes import free_ports

SECRETS = {"TOKEN": "t0ken-value", "SECRET": "s3cret-value"}
Commlayer = Callable[..., Result]


@pytest.fixture
def data() -> dict[str, Any]:
    """A small installation; ports are free ones."""
    bridge, twin = free_ports(2)
    return {
        "kafka": {
            "bootstrap": ["127.0.0.1:1"],
            "partitions": {"recipient": 2, "dispatch": 2, "lifecycle": 2, "dead": 1},
            "replication": 1,
            "session_timeout_s": 6.0,
            "request_timeout_s": 2.0,
        },
        "bridge": {"public_url": f"http://127.0.0.1:{bridge}", "listen": f"127.0.0.1:{bridge}"},
        "accounts": {
            "main": {
                "sid": "AC" + "1" * 32,
                "auth_token": {"env": "TOKEN"},
                "api_key": {"sid": "SK" + "2" * 32, "secret": {"env": "SECRET"}},
                "base_url": f"http://127.0.0.1:{twin}",
            }
        },
        "senders": {
            "us": {"account": "main", "address": "+14155550100", "type": "long_code", "rate": 50, "partition": 0}
        },
        "pools": {"all": ["us"]},
        "categories": {
            "otp": {"class": "critical", "doubt": "resend"},
            "news": {"class": "bulk", "doubt": "stop", "quiet_hours": "exempt"},
        },
        "apps": {"shop": {"categories": ["otp", "news"], "pool": "all", "principal": "User:shop"}},
        "countries": {"allow": ["US"]},
        "consumers": {"cdp": {"principal": "User:cdp", "topics": ["status"]}},
        "health": {"policy": 0, "dispatch": 0, "feedback": 0, "all": 0},
        "twin": {"listen": f"127.0.0.1:{twin}"},
    }


@pytest.fixture
def config_file(tmp_path: Path, data: dict[str, Any]) -> Path:
    path = tmp_path / "commlayer.yaml"
    path.write_text(yaml.safe_dump(data | {"data_dir": str(tmp_path / "state")}))
    return path


@pytest.fixture
def commlayer(config_file: Path) -> Commlayer:
    """Runs a command in this process, with the configuration and its secrets."""

    def run(*arguments: str, input: str | bytes | None = None, environment: dict[str, str] | None = None) -> Result:
        variables = {**SECRETS, "COMMLAYER_CONFIG": str(config_file), **(environment or {})}
        return CliRunner(env=variables).invoke(main, arguments, input=input, catch_exceptions=False)

    return run


@pytest.fixture(scope="session")
def cluster() -> Iterator[Kafka]:
    """A broker for the installation of these tests, whose topics have fixed names: not the one that others fill."""
    broker = start_own_broker()
    yield Kafka(broker.bootstrap)
    broker.close()


@pytest.fixture
def on_kafka(config_file: Path, cluster: Kafka, commlayer: Commlayer) -> Kafka:
    """The installation's broker, its topics there."""
    config_file.write_text(config_file.read_text().replace("127.0.0.1:1\n", f"{cluster.bootstrap}\n"))
    applied = commlayer("topics", "apply", "--dev")
    assert applied.exit_code == 0, applied.output
    return cluster
