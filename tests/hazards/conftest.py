"""Probes for the hazards; see tests/support/probe.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.kafka import Kafka, Outgoing
from tests.support.probe import Probe

MakeProbe = Callable[[str, Mapping[str, int]], Probe]


@pytest.fixture
def probe(kafka: Kafka, tmp_path: Path) -> Iterator[MakeProbe]:
    """Makes the probe of a group: `probe("stock" | "ours", {topic: partitions})`. Its workers end with the test."""
    probes: list[Probe] = []

    def make(transport: str, topics: Mapping[str, int]) -> Probe:
        probes.append(Probe(kafka, transport, topics, tmp_path))
        return probes[-1]

    yield make
    for made in probes:
        made.close()


@pytest.fixture
def filled(kafka: Kafka) -> Callable[..., str]:
    """Makes a topic with so many records in each of its partitions: `filled(records, partitions=4)`."""

    def make(records: int, *, partitions: int) -> str:
        topic = kafka.unique("hazard")
        kafka.create_topics({topic: partitions})
        kafka.produce(
            Outgoing(topic, b"%d" % number, partition=partition)
            for number in range(records)
            for partition in range(partitions)
        )
        return topic

    return make


@pytest.fixture
def more(kafka: Kafka) -> Callable[[str], None]:
    """Writes one more record into partition 0 of a topic."""

    def write(topic: str) -> None:
        kafka.produce([Outgoing(topic, b"more", partition=0)])

    return write
