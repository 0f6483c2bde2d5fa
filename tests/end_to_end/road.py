"""An installation with every process real: Kafka, registry, twin, bridge, policy, dispatch, feedback."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import yaml

from schemas.codec import RegistryCodec
from schemas.errors import SchemaNotLoaded
from schemas.records import MessageClass, Record, StatusUpdate
from schemas.registry import Registry
from schemas.topics import FEEDBACK_STATUS, LIFECYCLE, catalogue, dispatch_topic
from tests.streams.cluster import COUNTS
from tests.support.kafka import Kafka
from tests.support.processes import Child, free_ports

ROOT = Path(__file__).parents[2]
ACCOUNT_SID = "AC" + "e" * 32
SECRETS = {"ROAD_TOKEN": "a-token-of-this-test-only"}
STAGES = ("policy", "dispatch", "feedback", "bridge")
START_WITHIN_S = 90.0


@dataclass
class Road:
    """An installation, and those of its processes that were started.

    Attributes:
        ports: of the twin, and of each stage's health.
        login: variables that say who a process (or a command's user) is to Kafka.
    """

    kafka: Kafka
    codec: RegistryCodec
    registry_url: str
    configuration: Path
    ports: dict[str, int]
    children: dict[str, Child]
    login: Callable[[str], dict[str, str]] = lambda name: {}

    @property
    def twin_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['twin']}"

    def twin(self, path: str, body: dict[str, Any] | None = None, *, method: str | None = None) -> Any:
        """Ask (or tell) the twin's `/__twin__`; with a body POST unless told otherwise."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.twin_url}/__twin__{path}", data, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def records(self, topic: str) -> list[Record]:
        """What is in a topic now, decoded through the registry."""
        found = []
        for stored in self.kafka.consume_all(topic):
            value = stored.value or b""
            try:
                found.append(self.codec.decode(value))
            except SchemaNotLoaded as missing:
                self.codec.load(missing.schema_id)
                found.append(self.codec.decode(value))
        return found

    def final_statuses(self) -> dict[str, StatusUpdate]:
        """Last status update of each message, where that is final."""
        updates = [update for update in self.records(FEEDBACK_STATUS) if isinstance(update, StatusUpdate)]
        return {key: update for key, update in {u.message_id: u for u in updates}.items() if update.is_final}

    def story(self, message_id: str) -> list[str]:
        """All that is said of a message, for a person who wonders where it is."""
        topics = (*(dispatch_topic(one) for one in MessageClass), LIFECYCLE, FEEDBACK_STATUS)
        said = [
            f"{stored.topic}[{stored.partition}] {stored.offset}: {self.codec.decode(stored.value)!r}"
            for topic in topics
            for stored in self.kafka.consume_all(topic)
            if stored.value is not None and message_id.encode() in stored.value
        ]
        return [*said, *(f"twin: {row}" for row in self.twin("/messages") if row["m"] == message_id)]

    def ready(self, name: str) -> tuple[bool, dict[str, Any]]:
        """What `/health/ready` of a stage says: whether it is, and its parts by name."""
        return self._asked(name, "ready")

    def live(self, name: str) -> bool:
        """What `/health/live` of a stage says."""
        return self._asked(name, "live")[0]

    def _asked(self, name: str, what: str) -> tuple[bool, dict[str, Any]]:
        url = f"http://127.0.0.1:{self.ports[name]}/health/{what}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                body = json.load(answer)
        except HTTPError as refused:
            body = json.load(refused)
        return body["ok"], body["parts"]

    def command(self, *arguments: str) -> list[str]:
        """The command line of `commlayer` for this installation."""
        return [sys.executable, "-m", "commlayer", "--config", str(self.configuration), *arguments]

    def run(self, *arguments: str, user: str = "operator") -> subprocess.CompletedProcess[str]:
        """Run a command of the installation to its end, as this user of Kafka."""
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
            env={**os.environ, **SECRETS, **self.login(user)},
            cwd=ROOT,
        )

    def start(self, name: str, *arguments: str) -> None:
        """Start a process of the installation."""
        self.children[name] = Child(
            name,
            self.command(*arguments),
            log=self.configuration.with_name(f"{name}.log"),
            cwd=ROOT,
            env={**os.environ, **SECRETS, **self.login(name), "COMMLAYER_LOG_FORMAT": "json"},
        )

    def start_twin(self) -> None:
        """Start the twin, also again: its books are empty then."""
        self.start("twin", "twin")

    def start_stages(self) -> None:
        """Start every process but the twin."""
        for name in STAGES:
            self.start(name, "run", name)

    def register(self) -> None:
        """Make the contracts known to the registry."""
        done = self.run("schemas", "register")
        assert done.returncode == 0, done.stdout + done.stderr

    def logs(self) -> str:
        """Everything that the processes logged."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.configuration.parent.glob("*.log")))

    def lines(self, name: str) -> list[dict[str, Any]]:
        """What one process logged."""
        text = self.configuration.with_name(f"{name}.log").read_text(errors="replace")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def stop(self) -> None:
        """End everything."""
        for child in self.children.values():
            child.signal(signal.SIGCONT)
            child.signal(signal.SIGTERM)
        for child in self.children.values():
            child.stop()

    def wait_ready(self, *names: str) -> None:
        """Return once these (by default all) are ready."""
        urls = {name: f"http://127.0.0.1:{port}/health/ready" for name, port in self.ports.items() if name != "twin"}
        urls["twin"] = f"{self.twin_url}/__twin__"
        wait_for_all({name: url for name, url in urls.items() if not names or name in names}, self)


@contextmanager
def laid_road(
    kafka: Kafka,
    registry_url: str,
    folder: Path,
    settings: dict[str, Any],
    login: Callable[[str], dict[str, str]] = lambda name: {},
) -> Iterator[Road]:
    """The installation with these settings (apps, senders, categories, …) on top of what the machine decides; topics
    made, nothing started. What the test starts is ended."""
    ports = dict(zip(("twin", *STAGES), free_ports(1 + len(STAGES)), strict=True))
    configuration = {
        "registry": {"url": registry_url},
        "bridge": {
            "public_url": f"http://127.0.0.1:{ports['bridge']}",
            "listen": f"127.0.0.1:{ports['bridge']}",
        },
        "accounts": {
            "main": {
                "sid": ACCOUNT_SID,
                "auth_token": {"env": "ROAD_TOKEN"},
                "base_url": f"http://127.0.0.1:{ports['twin']}",
            }
        },
        "health": {name: ports[name] for name in STAGES if name != "bridge"},
        "data_dir": str(folder / "data"),
        **settings,
        "kafka": {
            "bootstrap": kafka.bootstrap.split(","),
            "partitions": {kind: getattr(COUNTS, kind) for kind in COUNTS.__slots__},
            "replication": 1,
            **settings.get("kafka", {}),
        },
        "twin": {"listen": f"127.0.0.1:{ports['twin']}", **settings.get("twin", {})},
    }
    file = folder / "commlayer.yaml"
    file.write_text(yaml.safe_dump(configuration))
    kafka.create_topics({topic.name: COUNTS.of(topic.count) for topic in catalogue(settings["apps"])})
    road = Road(kafka, RegistryCodec(Registry(registry_url)), registry_url, file, ports, {}, login)
    try:
        yield road
    finally:
        road.stop()


@contextmanager
def running_road(kafka: Kafka, registry_url: str, folder: Path, settings: dict[str, Any]) -> Iterator[Road]:
    """`laid_road` with contracts registered and everything started and ready."""
    with laid_road(kafka, registry_url, folder, settings) as road:
        road.register()
        road.start_twin()
        road.start_stages()
        road.wait_ready()
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
