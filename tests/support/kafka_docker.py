"""The same broker as a container of the official image, through testcontainers."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import docker  # type: ignore[import-untyped]  # it ships no annotations
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from tests.support.java import Unavailable
from tests.support.kafka_broker import (
    START_TIMEOUT_S,
    broker_settings,
    protocol_map,
    sasl_settings,
    start_together,
    wait_until_ready,
)
from tests.support.processes import free_ports

IMAGE = "apache/kafka:4.1.0"

_HERE = "127.0.0.1"
_PULL_TIMEOUT_S = 900  # some hundred MB on a slow line


def docker_answers() -> None:
    """Raises Unavailable unless a Docker engine can be used."""
    try:
        docker.from_env(timeout=10).ping()
    except Exception as error:  # docker-py raises many kinds: no socket, no rights, old API
        raise Unavailable(f"no Docker engine answers ({type(error).__name__})") from error


def pull(image: str) -> None:
    """Have the image here. Raises Unavailable."""
    docker_answers()
    images = docker.from_env(timeout=_PULL_TIMEOUT_S).images
    try:
        images.get(image)
    except docker.errors.ImageNotFound:
        try:
            images.pull(image)
        except docker.errors.DockerException as error:
            raise Unavailable(f"Docker cannot pull {image}: {error}") from error


def as_environment(settings: dict[str, str]) -> dict[str, str]:
    """Broker settings as variables of the official image: `_` for a dot, `__` for `_`, `___` for a dash."""
    return {
        "KAFKA_" + name.replace("_", "__").replace("-", "___").replace(".", "_").upper(): value
        for name, value in settings.items()
    }


class DockerBroker:
    """One node in a container, on fixed host ports so that it comes back where it was."""

    def __init__(self, node_id: int, nodes: int, network: Network, *, sasl: bool) -> None:
        client_port, sasl_port = free_ports(2)
        self.bootstrap = f"{_HERE}:{client_port}"
        self.sasl_bootstrap = f"{_HERE}:{sasl_port}" if sasl else None
        self._network = network
        alias = _alias(node_id)
        client = f",CLIENT://{self.sasl_bootstrap}" if sasl else ""
        settings = {
            **broker_settings(nodes),
            **(sasl_settings() if sasl else {}),
            "node.id": str(node_id),
            "controller.quorum.voters": ",".join(f"{n}@{_alias(n)}:9093" for n in range(1, nodes + 1)),
            "listeners": "INTERNAL://:9091,PLAINTEXT://:9092,CONTROLLER://:9093" + (",CLIENT://:9094" if sasl else ""),
            # Among themselves brokers go by their names: the host's ports do not exist inside a container.
            "advertised.listeners": f"INTERNAL://{alias}:9091,PLAINTEXT://{self.bootstrap}{client}",
            "inter.broker.listener.name": "INTERNAL",
            "listener.security.protocol.map": f"{protocol_map()},INTERNAL:PLAINTEXT",
        }
        self._container = DockerContainer(IMAGE).with_network(network).with_network_aliases(alias)
        ports: dict[Any, Any] = self._container.ports
        ports[9092] = (_HERE, client_port)  # with_bind_ports would open it to everybody
        if sasl:
            ports[9094] = (_HERE, sasl_port)
        for name, value in as_environment(settings).items():
            self._container.with_env(name, value)

    def launch(self) -> None:
        """Start the container; `wait_until_ready` tells when it serves. Raises Unavailable."""
        try:
            self._container.start()
        except docker.errors.DockerException as error:
            raise Unavailable(f"Docker cannot start {IMAGE}: {error}") from error

    def stop(self) -> None:
        self._container.get_wrapped_container().stop(timeout=int(START_TIMEOUT_S))

    def kill(self) -> None:
        self._container.get_wrapped_container().kill()

    def restart(self) -> None:
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        if wrapped.status == "running":
            self.stop()
        wrapped.start()
        wait_until_ready(self.bootstrap, ended=self.has_ended)

    def pause(self) -> None:
        self._container.get_wrapped_container().pause()

    def resume(self) -> None:
        self._container.get_wrapped_container().unpause()

    def close(self) -> None:
        self._container.stop()  # also one that was never started
        with contextlib.suppress(docker.errors.APIError):  # another node still uses it
            self._network.remove()

    def has_ended(self) -> bool:
        wrapped = self._container.get_wrapped_container()
        wrapped.reload()
        return str(wrapped.status) == "exited"

    def output(self) -> str:
        """The end of the broker's log."""
        return b"".join(self._container.get_logs()).decode(errors="replace")[-4000:]

    def describe(self) -> str:
        return f"Kafka in Docker ({IMAGE}), {self.bootstrap}"


def start_docker_cluster(nodes: int, *, sasl: bool = False) -> Sequence[DockerBroker]:
    """That many nodes that have found each other. Raises Unavailable."""
    docker_answers()
    network = Network().create()
    brokers = [DockerBroker(node_id, nodes, network, sasl=sasl) for node_id in range(1, nodes + 1)]
    start_together(brokers)
    return brokers


def _alias(node_id: int) -> str:
    return f"kafka-{node_id}"
