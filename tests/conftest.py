"""Fixtures every test may ask for: one real Kafka and one real registry per session, and brokers to mistreat."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import settings

from tests.support.brokers import given_bootstrap, start_own_broker
from tests.support.kafka import Kafka
from tests.support.kafka_broker import Broker
from tests.support.mock_kafka import MockKafka
from tests.support.registry import start_registry
from tests.support.users import user_of

_used: list[str] = []

settings.register_profile("fixed", derandomize=True)
settings.register_profile("explore", max_examples=2_000, deadline=None)
settings.load_profile("fixed")  # what `make test` says depends on the commit alone; --hypothesis-profile for another


@pytest.fixture(scope="session")
def kafka() -> Iterator[Kafka]:
    """The session's broker, shared: use names of your own (`kafka.unique(...)`) and never disturb it."""
    given = given_bootstrap()
    if given:
        _used.append(f"Kafka of COMMLAYER_TEST_BOOTSTRAP, {given}")
        yield Kafka(given)
        return
    broker = start_own_broker()
    _used.append(broker.describe())
    yield Kafka(broker.bootstrap)
    broker.close()


@pytest.fixture(scope="session")
def registry_url() -> Iterator[str]:
    """Confluent-compatible URL of the session's schema registry."""
    registry = start_registry()
    _used.append(registry.describe())
    yield registry.url
    registry.close()


@pytest.fixture
def own_kafka() -> Iterator[Broker]:
    """A broker that this test alone uses and may stop, kill, pause and restart; `Kafka(own_kafka.bootstrap)` wraps
    it. Its start may take seconds: keep it for tests that need it."""
    broker = start_own_broker()
    yield broker
    broker.close()


@pytest.fixture(scope="session")
def sasl_broker() -> Iterator[Broker]:
    """A broker with SCRAM-SHA-512 on `sasl_bootstrap` and ACLs enforced; `bootstrap` is for super users."""
    broker = start_own_broker(sasl=True)
    yield broker
    broker.close()


@pytest.fixture(scope="session")
def sasl_user(sasl_broker: Broker) -> Callable[[str], Kafka]:
    """Makes a user of that name and returns the cluster as this user sees it."""
    return functools.partial(user_of, sasl_broker)


@pytest.fixture
def mock_kafka() -> MockKafka:
    """librdkafka's mock cluster, for this test alone."""
    return MockKafka()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker process tells the one that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["used"] = list(_used)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Called in the process that prints when a worker has ended."""
    _used.extend(getattr(node, "workeroutput", {}).get("used", ()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what the broker tests ran against."""
    for used in _used:
        terminalreporter.write_line(f"ran against: {used}")
