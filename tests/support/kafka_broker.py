"""What every broker of a test has in common, whether Java or Docker runs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient, ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

START_TIMEOUT_S = 90.0  # 3 s alone; the machine may be shared by many sessions
ADMIN = "admin"


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
