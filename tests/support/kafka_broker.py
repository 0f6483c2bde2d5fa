"""A real Kafka broker from Maven jars (KRaft, no Docker), which a test may stop, kill, pause and start again."""

from __future__ import annotations

import base64
import shutil
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from tests.support.java import java, kafka_jars
from tests.support.processes import Child, free_ports

START_TIMEOUT_S = 90.0  # 3 s alone; the machine may be shared by many sessions
ADMIN = "admin"

_JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")

_LOG4J = """<Configuration status="WARN"><Appenders><Console name="out">
<PatternLayout pattern="%d %p %m (%c)%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="out"/></Root></Loggers></Configuration>
"""


class BrokerDidNotStart(Exception):
    """The broker ended or did not answer; the text holds the end of its log."""


class Broker(Protocol):
    """What every variant of a broker of our own can do.

    Attributes:
        bootstrap: address for clients without credentials.
        sasl_bootstrap: address for clients with SCRAM-SHA-512 credentials; None unless the broker was started so.
    """

    bootstrap: str
    sasl_bootstrap: str | None

    def launch(self) -> None: ...
    def has_ended(self) -> bool: ...
    def output(self) -> str: ...
    def stop(self) -> None: ...
    def kill(self) -> None: ...
    def restart(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def close(self) -> None: ...
    def describe(self) -> str: ...


def broker_settings(nodes: int = 1) -> dict[str, str]:
    """Settings of a test broker that do not depend on ports and paths."""
    replicas = str(min(nodes, 3))
    return {
        "process.roles": "broker,controller",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": "8",  # 50 by default: many files, slow on the first group of a session
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": "1",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.replication.factor": replicas,
        "share.coordinator.state.topic.min.isr": "1",
        "group.initial.rebalance.delay.ms": "0",
        # After kill -9 a broker may come back only when its old registration has timed out (9 s by default).
        "broker.session.timeout.ms": "4000",
        "broker.heartbeat.interval.ms": "500",
        "group.min.session.timeout.ms": "1000",  # tests of lost members need not wait for 6 s
        "auto.create.topics.enable": "false",
        "log.index.size.max.bytes": "262144",  # 10 MiB index files stall producers where the disk reads far ahead
        "log.cleaner.dedupe.buffer.size": "8388608",
        "log.cleaner.backoff.ms": "1000",  # 15 s by default between two looks whether there is something to compact
    }


def sasl_settings() -> dict[str, str]:
    """Settings for SCRAM on the listener CLIENT and ACLs by the StandardAuthorizer. Who comes without credentials
    over the other listener is a super user: that is how the tests prepare things."""
    return {
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.client.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": f"User:{ADMIN};User:ANONYMOUS",
    }


def protocol_map() -> str:
    return "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CLIENT:SASL_PLAINTEXT"


def add_users(bootstrap: str, users: dict[str, str]) -> None:
    """Give each user (name → password) SCRAM-SHA-512 credentials."""
    upserts = [
        UserScramCredentialUpsertion(name, ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096), password.encode())
        for name, password in users.items()
    ]
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for done in admin.alter_user_scram_credentials(upserts).values():
        done.result(30)


def wait_until_ready(bootstrap: str, brokers: int = 1, *, ended: Callable[[], bool] = lambda: False) -> None:
    """Return once the cluster answers and has all its brokers. Raises BrokerDidNotStart; at once when it has ended."""
    deadline = time.monotonic() + START_TIMEOUT_S
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0, "reconnect.backoff.max.ms": 200})
    while True:
        try:
            if len(admin.list_topics(timeout=2).brokers) >= brokers:
                return
        except KafkaException:
            time.sleep(0.05)  # refused connections are answered at once
        if ended():
            raise BrokerDidNotStart(f"the broker of {bootstrap} ended")
        if time.monotonic() > deadline:
            raise BrokerDidNotStart(f"no answer at {bootstrap}")


def start_together(brokers: Sequence[Broker]) -> None:
    """Start the nodes of one cluster; return once each knows all. If that fails none is left."""
    try:
        for broker in brokers:
            broker.launch()
        for broker in brokers:
            wait_until_ready(broker.bootstrap, len(brokers), ended=broker.has_ended)
    except BaseException as error:
        logs = "\n".join(broker.output() for broker in brokers) if isinstance(error, BrokerDidNotStart) else ""
        for broker in brokers:
            broker.close()
        if logs:
            raise BrokerDidNotStart(f"{error}\n{logs}") from error
        raise


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
            "log.dirs": str(self._home / "data"),
        }
        (self._home / "log4j2.xml").write_text(_LOG4J)
        (self._home / "server.properties").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))

    def launch(self) -> None:
        """Start the process; `wait_until_ready` tells when it serves."""
        if not (self._home / "data").exists():
            self._format()
        self._child = Child(
            self._name,
            [*self._java("kafka.Kafka"), "server.properties"],
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
        self._running().signal(signal.SIGSTOP)

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

    def _format(self) -> None:
        done = subprocess.run(
            [*self._java("kafka.tools.StorageTool"), "format", "-t", self._cluster_id, "-c", "server.properties"],
            cwd=self._home,
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode != 0:
            raise BrokerDidNotStart(done.stdout + done.stderr)

    def _running(self) -> Child:
        if self._child is None:
            raise RuntimeError(f"{self._name} was never started")
        return self._child

    def _java(self, main: str) -> list[str]:
        return [java(), *_JVM, "-Dlog4j2.configurationFile=log4j2.xml", "-cp", f"{kafka_jars()}/*", main]


def start_java_cluster(nodes: int, *, sasl: bool = False) -> Sequence[JavaBroker]:
    """That many nodes that have found each other. Raises Unavailable."""
    ports = free_ports(3 * nodes)
    voters = ",".join(f"{n + 1}@127.0.0.1:{ports[3 * n + 1]}" for n in range(nodes))
    cluster_id = base64.b64encode(uuid.uuid4().bytes, b"ab").decode().rstrip("=")  # no "-" first: it is an argument
    brokers = []
    for n in range(nodes):
        client_port, controller_port, sasl_port = ports[3 * n : 3 * n + 3]
        node = JavaBroker(
            node_id=n + 1,
            client_port=client_port,
            controller_port=controller_port,
            voters=voters,
            cluster_id=cluster_id,
            sasl_port=sasl_port if sasl else None,
        )
        brokers.append(node)
    start_together(brokers)
    return brokers
