"""The same broker as a container of the official image, through testcontainers."""

from __future__ import annotations

import docker  # type: ignore[import-untyped]  # it ships no annotations
from testcontainers.core.container import DockerContainer

from tests.support.java import Unavailable
from tests.support.kafka_broker import (
    START_TIMEOUT_S,
    BrokerDidNotStart,
    broker_settings,
    protocol_map,
    sasl_settings,
    wait_until_ready,
)
from tests.support.processes import free_ports

IMAGE = "apache/kafka:4.1.0"


def docker_answers() -> None:
    """Raises Unavailable unless a Docker engine can be used."""
    try:
        docker.from_env(timeout=10).ping()
    except Exception as error:  # docker-py raises many kinds: no socket, no rights, old API
        raise Unavailable(f"no Docker engine answers ({type(error).__name__})") from error


def as_environment(settings: dict[str, str]) -> dict[str, str]:
    """Broker settings as variables of the official image: `_` for a dot, `__` for `_`, `___` for a dash."""
    return {
        "KAFKA_" + name.replace("_", "__").replace("-", "___").replace(".", "_").upper(): value
        for name, value in settings.items()
    }


class DockerBroker:
    """One node in a container on fixed host ports, so that it comes back where it was."""

    def __init__(self, *, sasl: bool = False) -> None:
        client_port, sasl_port = free_ports(2)
        self.bootstrap = f"127.0.0.1:{client_port}"
        self.sasl_bootstrap = f"127.0.0.1:{sasl_port}" if sasl else None
        advertised = f"PLAINTEXT://{self.bootstrap}" + (f",CLIENT://{self.sasl_bootstrap}" if sasl else "")
        settings = {
            **broker_settings(),
            **(sasl_settings() if sasl else {}),
            "node.id": "1",
            "controller.quorum.voters": "1@localhost:9093",
            "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093" + (",CLIENT://:9094" if sasl else ""),
            "advertised.listeners": advertised,
            # The broker talks to itself by its advertised address, which exists only outside the container.
            "inter.broker.listener.name": "PLAINTEXT",
            "listener.security.protocol.map": protocol_map(),
        }
        container = DockerContainer(IMAGE).with_bind_ports(9092, client_port)
        if sasl:
            container = container.with_bind_ports(9094, sasl_port)
        for name, value in as_environment(settings).items():
            container = container.with_env(name, value)
        try:
            self._container = container.start()
        except docker.errors.APIError as error:
            raise Unavailable(f"Docker cannot start {IMAGE}: {error.explanation or error}") from error
        try:
            wait_until_ready(self.bootstrap)
        except BrokerDidNotStart as error:
            logs = b"".join(container.get_logs()).decode(errors="replace")[-4000:]
            self.close()
            raise BrokerDidNotStart(f"{error}\n{logs}") from error

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
        wait_until_ready(self.bootstrap)

    def pause(self) -> None:
        self._container.get_wrapped_container().pause()

    def resume(self) -> None:
        self._container.get_wrapped_container().unpause()

    def close(self) -> None:
        self._container.stop()

    def describe(self) -> str:
        return f"Kafka in Docker ({IMAGE}), {self.bootstrap}"
