"""A real Kafka broker from Maven jars (KRaft, no Docker), which a test may stop, kill, pause and start again.

A session starts dozens, and the machine is busy: so what is the same for all of them is made once per user, and kept
beside the jars. That is the storage as Kafka's tool formats it, and an archive of the classes that a broker loads.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import shutil
import signal
import subprocess
import tempfile
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from tests.support.java import cached, java, java_version, kafka_jars
from tests.support.kafka import Kafka, Outgoing
from tests.support.kafka_broker import (
    START_TIMEOUT_S,
    BrokerDidNotStart,
    broker_settings,
    protocol_map,
    sasl_settings,
    start_together,
    wait_until_ready,
)
from tests.support.processes import Child, free_ports

_JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")

_LOG4J = """<Configuration status="WARN"><Appenders><Console name="out">
<PatternLayout pattern="%d %p %m (%c)%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""

_CHECKPOINT = "bootstrap.checkpoint"
"""What formatting writes beside the node's own ids: which features the cluster begins with."""
_CLASSES = "broker.jsa"

_Node = TypeVar("_Node", bound="JavaBroker")


class JavaBroker:
    """One node: broker and controller in one JVM. Data and ports stay the same over restarts."""

    def __init__(
        self,
        *,
        node_id: int,
        client_port: int,
        controller_port: int,
        voters: str,
        cluster_id: str,
        sasl_port: int | None,
    ) -> None:
        self.bootstrap = f"127.0.0.1:{client_port}"
        self.sasl_bootstrap = f"127.0.0.1:{sasl_port}" if sasl_port else None
        self._cluster_id = cluster_id
        self._name = f"kafka-{node_id}"
        self._home = Path(tempfile.mkdtemp(prefix=f"commlayer-{self._name}-"))
        self._data = self._home / "data"
        self._node_id = node_id
        self._child: Child | None = None
        listeners = f"PLAINTEXT://{self.bootstrap}" + (f",CLIENT://{self.sasl_bootstrap}" if sasl_port else "")
        settings = {
            **broker_settings(voters.count("@")),
            **(sasl_settings() if sasl_port else {}),
            "node.id": str(node_id),
            "controller.quorum.voters": voters,
            "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller_port}",
            "advertised.listeners": listeners,
            "listener.security.protocol.map": protocol_map(),
            "log.dirs": str(self._data),
        }
        (self._home / "log4j2.xml").write_text(_LOG4J)
        (self._home / "server.properties").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def launch(self) -> None:
        """Start the process; `wait_until_ready` tells when it serves."""
        if not self._data.exists():
            self._lay_storage()
        self._child = Child(
            self._name,
            [*_program("kafka.Kafka", *self._classes()), "server.properties"],
            log=self._home / "broker.log",
            cwd=self._home,
        )

    def start(self) -> None:
        """Start and wait until it serves."""
        self.launch()
        wait_until_ready(self.bootstrap, ended=self.has_ended)

    def stop(self) -> None:
        """Graceful: SIGTERM, and wait."""
        self._running().stop()

    def kill(self) -> None:
        """kill -9."""
        self._running().kill()

    def restart(self) -> None:
        """Start again on the same port with the same data, ended before or not."""
        if self._child is not None and self._child.returncode is None:
            self._child.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open and nothing answers."""
        self._running().stand_still()

    def resume(self) -> None:
        """SIGCONT."""
        self._running().signal(signal.SIGCONT)

    def close(self) -> None:
        """End for good; the data go as well."""
        if self._child is not None:
            self._child.kill()
        shutil.rmtree(self._home, ignore_errors=True)

    def has_ended(self) -> bool:
        """The process is no more."""
        return self._running().returncode is not None

    def output(self) -> str:
        """The end of the broker's log."""
        return self._child.output() if self._child is not None else ""

    def describe(self) -> str:
        return f"Kafka from Maven jars on Java, {self.bootstrap}"

    def _lay_storage(self) -> None:
        """As if formatted."""
        self._data.mkdir()
        shutil.copy(_template() / _CHECKPOINT, self._data)
        ids = {"version": 1, "node.id": self._node_id, "cluster.id": self._cluster_id, "directory.id": _new_id()}
        (self._data / "meta.properties").write_text("".join(f"{name}={value}\n" for name, value in ids.items()))

    def _classes(self) -> Sequence[str]:
        # An archive that this Java cannot use is passed over.
        return (f"-XX:SharedArchiveFile={_template() / _CLASSES}",)

    def _running(self) -> Child:
        if self._child is None:
            raise RuntimeError(f"{self._name} was never started")
        return self._child


class _First(JavaBroker):
    """The one that the others start from: formatted by the tool; leaves the archive of its classes when it ends."""

    def storage_and_classes(self, into: Path) -> None:
        """Live a short life, and leave these there. Raises BrokerDidNotStart."""
        try:
            self.start()
            shutil.copy(self._data / _CHECKPOINT, into)
            kafka = Kafka(self.bootstrap)
            kafka.create_topics({"any": 1})
            kafka.produce([Outgoing("any", b"1")])
            kafka.consume_all("any")
            self.stop()
            shutil.move(self._home / _CLASSES, into)
        finally:
            self.close()

    def _lay_storage(self) -> None:
        done = subprocess.run(
            [*_program("kafka.tools.StorageTool"), "format", "-t", self._cluster_id, "-c", "server.properties"],
            cwd=self._home,
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            raise BrokerDidNotStart(done.stdout + done.stderr)

    def _classes(self) -> Sequence[str]:
        return (f"-XX:ArchiveClassesAtExit={_CLASSES}",)


@functools.cache
def _template() -> Path:
    """Folder with a formatted storage's checkpoint and the archive of a broker's classes."""
    digest = hashlib.sha256(java_version().encode()).hexdigest()[:12]

    def make(into: Path) -> None:
        [first] = _nodes(_First, 1, sasl=False)
        first.storage_and_classes(into)

    return cached(f"{kafka_jars().name}-broker-{digest}", make)


def prepare_java_broker() -> None:
    """Fetch and make what brokers start from. Raises Unavailable."""
    java()
    kafka_jars()
    _template()


def start_java_cluster(nodes: int, *, sasl: bool = False) -> Sequence[JavaBroker]:
    """That many nodes that have found each other. Raises Unavailable."""
    brokers = _nodes(JavaBroker, nodes, sasl=sasl)
    start_together(brokers)
    return brokers


def _nodes(kind: type[_Node], nodes: int, *, sasl: bool) -> Sequence[_Node]:
    ports = free_ports(3 * nodes)
    voters = ",".join(f"{n + 1}@127.0.0.1:{ports[3 * n + 1]}" for n in range(nodes))
    cluster_id = _new_id()
    brokers = []
    for n in range(nodes):
        client_port, controller_port, sasl_port = ports[3 * n : 3 * n + 3]
        node = kind(
            node_id=n + 1,
            client_port=client_port,
            controller_port=controller_port,
            voters=voters,
            cluster_id=cluster_id,
            sasl_port=sasl_port if sasl else None,
        )
        brokers.append(node)
    return brokers


def _program(main: str, *options: str) -> Sequence[str]:
    classpath = ("-cp", f"{kafka_jars()}/*")
    return (java(), *_JVM, *options, "-Dlog4j2.configurationFile=log4j2.xml", *classpath, main)


def _new_id() -> str:
    return base64.b64encode(uuid.uuid4().bytes, b"ab").decode().rstrip("=")  # no "-" first: it is an argument
