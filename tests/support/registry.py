"""A real schema registry (Apicurio) for the session; its Confluent-compatible API is what tests use."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import docker  # type: ignore[import-untyped]  # it ships no annotations
from testcontainers.core.container import DockerContainer

from tests.support.java import REGISTRY_VERSION, Unavailable, first_available, java, registry_home
from tests.support.kafka_docker import docker_answers, pull
from tests.support.processes import Child, free_ports

IMAGE = f"apicurio/apicurio-registry:{REGISTRY_VERSION}"
_URL_VARIABLE = "COMMLAYER_TEST_REGISTRY"
_WHAT_TO_INSTALL = (
    "These tests need a schema registry. Install Docker, or Java 17 and Maven, or set "
    f"{_URL_VARIABLE} to the Confluent-compatible URL of one that tests may fill."
)

_API = "/apis/ccompat/v7"
_START_TIMEOUT_S = 120.0
_JVM = ("-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class RegistryDidNotStart(Exception):
    """It ended or did not answer; the text holds the end of its log."""


class JavaRegistry:
    """Apicurio from Maven's archive, with its storage in memory."""

    def __init__(self) -> None:
        home, program = registry_home(), java()
        [jar] = home.rglob("apicurio-registry-app-*-runner.jar")
        [self._port] = free_ports(1)
        self.url = f"http://127.0.0.1:{self._port}{_API}"
        self._folder = Path(tempfile.mkdtemp(prefix="commlayer-registry-"))
        self._command = [
            program,
            *_JVM,
            f"-Dquarkus.http.port={self._port}",
            "-Dquarkus.http.host=127.0.0.1",
            "-jar",
            str(jar),
        ]
        self.start()

    def start(self) -> None:
        """Start it; also after `kill`, empty and on the same port."""
        self._child = Child("registry", self._command, log=self._folder / "registry.log", cwd=self._folder)
        _wait(self.url, self._child)

    def kill(self) -> None:
        """kill -9: what it held is gone."""
        self._child.kill()

    def close(self) -> None:
        self._child.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def describe(self) -> str:
        return f"Apicurio {REGISTRY_VERSION} on Java, {self.url}"


class DockerRegistry:
    """Apicurio's official image."""

    def __init__(self) -> None:
        docker_answers()
        [port] = free_ports(1)
        self.url = f"http://127.0.0.1:{port}{_API}"
        self._container = DockerContainer(IMAGE)
        ports: dict[Any, Any] = self._container.ports
        ports[8080] = ("127.0.0.1", port)  # with_bind_ports would open it to everybody
        try:
            self._container.start()
            _wait(self.url, None)
        except docker.errors.DockerException as error:
            raise Unavailable(f"Docker cannot start {IMAGE}: {error}") from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        self._container.stop()

    def describe(self) -> str:
        return f"Apicurio in Docker ({IMAGE}), {self.url}"


class GivenRegistry:
    """The one that COMMLAYER_TEST_REGISTRY names."""

    def __init__(self, url: str) -> None:
        self.url = url
        _wait(url, None)

    def close(self) -> None:
        """It is not ours to end."""

    def describe(self) -> str:
        return f"registry of COMMLAYER_TEST_REGISTRY, {self.url}"


def prepare() -> None:
    """Fetch what a registry needs, if anything. Raises Unavailable, saying what to install."""
    if not os.environ.get(_URL_VARIABLE):
        first_available(_WHAT_TO_INSTALL, lambda: pull(IMAGE), _prepare_java)


def start_registry() -> GivenRegistry | DockerRegistry | JavaRegistry:
    """COMMLAYER_TEST_REGISTRY, else Docker, else Java with Maven. Raises Unavailable saying what to install."""
    given = os.environ.get(_URL_VARIABLE)
    if given:
        return GivenRegistry(given)
    ways: tuple[Callable[[], DockerRegistry | JavaRegistry], ...] = (DockerRegistry, JavaRegistry)
    return first_available(_WHAT_TO_INSTALL, *ways)


def _prepare_java() -> None:
    java()
    registry_home()


def _wait(url: str, child: Child | None) -> None:
    deadline = time.monotonic() + _START_TIMEOUT_S
    while True:
        if child is not None and child.returncode is not None:
            raise RegistryDidNotStart(f"the registry ended with {child.returncode}:\n{child.output()}")
        try:
            with urllib.request.urlopen(f"{url}/subjects", timeout=5) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
        if time.monotonic() > deadline:
            raise RegistryDidNotStart(f"no answer at {url}:\n{child.output() if child else ''}")
