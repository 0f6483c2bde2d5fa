"""Which broker a session gets: COMMLAYER_TEST_BOOTSTRAP, else Docker, else Java with Maven; never none."""

from __future__ import annotations

import os
from collections.abc import Sequence

from tests.support.java import Unavailable, first_available
from tests.support.kafka_broker import Broker, wait_until_ready
from tests.support.kafka_docker import IMAGE, pull, start_docker_cluster
from tests.support.kafka_java import prepare_java_broker, start_java_cluster

BOOTSTRAP_VARIABLE = "COMMLAYER_TEST_BOOTSTRAP"

_WHAT_TO_INSTALL = (
    "These tests need a real Kafka. Install Docker, or Java 17 (or newer) and Maven, or set "
    f"{BOOTSTRAP_VARIABLE}=host:port to a cluster that tests may fill."
)


_ONLY_A_CLUSTER = (
    f"{BOOTSTRAP_VARIABLE} serves the tests that leave a cluster as they find it. Those that stop, kill or secure a "
    "broker, or need topics of fixed names, start their own, by Docker or by Java 17 (or newer) and Maven: without "
    "these they fail."
)


def given_bootstrap() -> str | None:
    """Address of the cluster that the person who runs the tests named, once it answers."""
    bootstrap = os.environ.get(BOOTSTRAP_VARIABLE)
    if bootstrap:
        wait_until_ready(bootstrap)
    return bootstrap or None


def prepare() -> str | None:
    """Fetch what a broker needs, if anything. Returns what those should know whose cluster does not suffice.

    Raises:
        Unavailable: there is no broker at all; says what to install.
    """
    try:
        first_available(_WHAT_TO_INSTALL, lambda: pull(IMAGE), prepare_java_broker)
    except Unavailable:
        if os.environ.get(BOOTSTRAP_VARIABLE):
            return _ONLY_A_CLUSTER
        raise
    return None


def start_own_broker(*, sasl: bool = False) -> Broker:
    """A single node that the caller may also kill. With `sasl`, a second listener asks for SCRAM-SHA-512 and ACLs are
    enforced. Raises Unavailable, saying what to install."""
    [broker] = start_own_cluster(1, sasl=sasl)
    return broker


def start_own_cluster(nodes: int, *, sasl: bool = False) -> Sequence[Broker]:
    """That many nodes that have found each other. Raises Unavailable, saying what to install."""
    return first_available(
        _WHAT_TO_INSTALL,
        lambda: start_docker_cluster(nodes, sasl=sasl),
        lambda: start_java_cluster(nodes, sasl=sasl),
    )
