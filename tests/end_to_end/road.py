"""An installation with every process real: Kafka, registry, twin, bridge, policy, dispatch, feedback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

import yaml

from schemas.codec import RegistryCodec
from schemas.records import Record
from schemas.registry import Registry
from schemas.topics import catalogue
from tests.streams.cluster import COUNTS
from tests.support.kafka import Kafka
from tests.support.processes import Child, free_ports

ROOT = Path(__file__).parents[2]
SECRETS = {"ROAD_TOKEN": "a-token-of-this-test-only"}
STAGES = ("policy", "dispatch", "feedback", "bridge")
START_WITHIN_S = 90.0


@dataclass
class Road:
    """A running installation."""

    kafka: Kafka
    codec: RegistryCodec
    registry_url: str
    configuration: Path
    twin_url: str
    children: dict[str, Child]

    def twin(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Ask (or tell) the twin's `/__twin__`."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.twin_url}/__twin__{path}", data, timeout=30) as answer:
            return json.load(answer)

    def records(self, topic: str) -> list[Record]:
        """What is in a topic now, decoded through the registry."""
        found = []
        for stored in self.kafka.consume_all(topic):
            value = stored.value or b""
            self.codec.load(int.from_bytes(value[1:5], "big"))
            found.append(self.codec.decode(value))
        return found

    def command(self, *arguments: str) -> list[str]:
        """The command line of `commlayer` for this installation."""
        return [sys.executable, "-m", "commlayer", "--config", str(self.configuration), *arguments]

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command of the installation to its end."""
        environment = {**os.environ, **SECRETS}
        return subprocess.run(
            self.command(*arguments), capture_output=True, text=True, timeout=90, check=False, env=environment, cwd=ROOT
        )

    def start(self, name: str, *arguments: str) -> None:
        """Start a process of the installation."""
        self.children[name] = Child(
            name,
            self.command(*arguments),
            log=self.configuration.with_name(f"{name}.log"),
            cwd=ROOT,
            env={**os.environ, **SECRETS, "COMMLAYER_LOG_FORMAT": "json"},
        )

    def logs(self) -> str:
        """Everything that the processes logged."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.configuration.parent.glob("*.log")))


@contextmanager
def running_road(kafka: Kafka, registry_url: str, folder: Path, settings: dict[str, Any]) -> Iterator[Road]:
    """The installation with these settings (apps, senders, categories, …) on top of what the machine decides; topics
    made, contracts registered on first use, everything ready."""
    ports = dict(zip(("twin", *STAGES), free_ports(1 + len(STAGES)), strict=True))
    configuration = {
        "kafka": {
            "bootstrap": kafka.bootstrap.split(","),
            "partitions": {kind: getattr(COUNTS, kind) for kind in COUNTS.__slots__},
            "replication": 1,
        },
        "registry": {"url": registry_url},
        "bridge": {
            "public_url": f"http://127.0.0.1:{ports['bridge']}",
            "listen": f"127.0.0.1:{ports['bridge']}",
        },
        "accounts": {
            "main": {
                "sid": "AC" + "e" * 32,
                "auth_token": {"env": "ROAD_TOKEN"},
                "base_url": f"http://127.0.0.1:{ports['twin']}",
            }
        },
        "health": {name: ports[name] for name in STAGES if name != "bridge"},
        "data_dir": str(folder / "data"),
        **settings,
        "twin": {"listen": f"127.0.0.1:{ports['twin']}", **settings.get("twin", {})},
    }
    file = folder / "commlayer.yaml"
    file.write_text(yaml.safe_dump(configuration))
    kafka.create_topics({topic.name: COUNTS.of(topic.count) for topic in catalogue(settings["apps"])})
    road = Road(
        kafka, RegistryCodec(Registry(registry_url)), registry_url, file, f"http://127.0.0.1:{ports['twin']}", {}
    )
    with ExitStack() as stack:
        stack.callback(lambda: [child.stop() for child in road.children.values()])
        registered = road.run("schemas", "register")
        assert registered.returncode == 0, registered.stdout + registered.stderr
        road.start("twin", "twin")
        for name in STAGES:
            road.start(name, "run", name)
        urls = {name: f"http://127.0.0.1:{ports[name]}/health/ready" for name in STAGES}
        wait_for_all({"twin": f"{road.twin_url}/__twin__", **urls}, road)
        yield road


def wait_for_all(urls: dict[str, str], road: Road) -> None:
    """Return once every URL answers 200."""
    waiting, deadline = dict(urls), time.monotonic() + START_WITHIN_S
    while waiting:
        for name, url in list(waiting.items()):
            assert road.children[name].returncode is None, f"{name} ended:\n{road.children[name].output()}"
            try:
                with urllib.request.urlopen(url, timeout=5):
                    del waiting[name]
            except (URLError, OSError):
                continue
        assert time.monotonic() < deadline, f"not ready: {sorted(waiting)}\n{road.logs()[-8000:]}"
        time.sleep(0.1)
