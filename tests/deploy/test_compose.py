"""docker-compose.yml fits the program: pinned images, commands that exist, ports and secrets of the configuration."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from commlayer.cli import main
from commlayer.config import Purpose, load
from commlayer.config.conversions import lane_table, policy_config
from commlayer.processes import Process
from tests.support import kafka_docker, registry

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"] == "commlayer:dev"}
CONFIG = ROOT / "deploy" / "commlayer.yaml"
PINNED = re.compile(r".+:\d+(\.\d+)+(-[a-z]+)?")


def environment(service: dict[str, Any]) -> dict[str, str]:
    """Variables with the defaults of `${NAME:-default}`."""
    return {name: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value) for name, value in service["environment"].items()}


def test_there_is_a_service_for_every_process_and_each_thing_it_needs() -> None:
    assert set(SERVICES) >= {process.value for process in Process} | {"kafka", "registry", "topics", "schemas", "twin"}


def test_foreign_images_are_pinned_to_versions_that_the_tests_run_against() -> None:
    foreign = {name: service["image"] for name, service in SERVICES.items() if name not in OURS}
    assert foreign == {"kafka": kafka_docker.IMAGE, "registry": registry.IMAGE}
    assert all(PINNED.fullmatch(image) for image in foreign.values())


@pytest.mark.parametrize("name", sorted(OURS))
def test_the_command_of_a_service_exists(name: str) -> None:
    command = [part for part in OURS[name]["command"] if part != "--help"]
    result = CliRunner().invoke(main, [*command, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage: " in result.output


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_service_has_the_configuration_and_its_secrets(name: str) -> None:
    service = OURS[name]
    [mount] = service["volumes"]
    source, target, mode = mount.split(":")
    assert (ROOT / source).samefile(CONFIG)
    assert (target, mode) == ("/etc/commlayer/commlayer.yaml", "ro")
    assert f"COMMLAYER_CONFIG={target}" in (ROOT / "deploy" / "Dockerfile").read_text()
    loaded = load(CONFIG, frozenset(Purpose), environment(service))
    assert loaded.warnings == ()


def test_the_configuration_converts_and_points_at_the_services() -> None:
    config = load(CONFIG).config
    assert lane_table(config).lanes
    assert policy_config(config).apps
    assert config.kafka.bootstrap == ("kafka:9092",)
    assert "INSIDE://kafka:9092" in SERVICES["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert config.registry is not None
    assert config.registry.url == "http://registry:8080/apis/ccompat/v7"
    assert config.accounts["main"].base_url == "http://twin:" + config.twin.listen.rpartition(":")[2]
    assert config.bridge.public_url == "http://localhost:" + config.bridge.listen.rpartition(":")[2]
    assert SERVICES["bridge"]["network_mode"] == "service:twin"


def test_every_long_running_service_is_checked_on_its_own_port() -> None:
    config = load(CONFIG).config
    ports = {process: str(getattr(config.health, process)) for process in ("policy", "dispatch", "feedback")}
    ports["bridge"] = config.bridge.listen.rpartition(":")[2]
    for name, port in ports.items():
        assert f"http://127.0.0.1:{port}/health/ready" in " ".join(SERVICES[name]["healthcheck"]["test"])
    assert f":{config.twin.listen.rpartition(':')[2]}/__twin__" in " ".join(SERVICES["twin"]["healthcheck"]["test"])


def test_stages_start_after_topics_and_schemas_and_get_time_to_stop() -> None:
    for name in ("policy", "dispatch", "feedback", "bridge"):
        service = SERVICES[name]
        for once in ("topics", "schemas"):
            assert service["depends_on"][once] == {"condition": "service_completed_successfully"}
        assert service["stop_grace_period"] == "20s"
        assert service["restart"] == "unless-stopped"


def test_nothing_is_published_beyond_this_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_image_is_pinned_locked_and_not_root() -> None:
    lines = (ROOT / "deploy" / "Dockerfile").read_text().splitlines()
    bases = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert len(set(bases)) == 1
    assert PINNED.fullmatch(bases[0].replace("-slim-bookworm", ""))
    installs = [line for line in lines if "pip install" in line]
    assert installs
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)
    last_user = [line for line in lines if line.startswith("USER ")][-1]
    assert last_user != "USER root"
