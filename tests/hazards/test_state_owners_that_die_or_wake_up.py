"""Who writes partition state is killed, or is paused and wakes up behind its successor, while the broker stands still
now and then, or takes what it gets slowly (a produce quota). What its puts said is done is in every later fold, warm or
cold; what came too late is in none."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import struct
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.state import PartitionStates
from tests.support.kafka import Kafka
from tests.support.kafka_broker import Broker
from tests.support.processes import Child
from tests.support.quotas import limit_producer, overdraw
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]

SOURCES = ["in.one", "in.two"]
SLOW_BYTES_PER_S = 80_000.0


class State(NamedTuple):
    """Entries, and the highest offset that was folded in of each source topic."""

    entries: dict[bytes, bytes]
    positions: dict[str, int]


class Owners:
    """Worker processes of one state topic."""

    def __init__(self, kafka: Kafka, folder: Path) -> None:
        self.kafka, self.folder = kafka, folder
        self.topic = kafka.unique("state")
        kafka.create_topics({self.topic: 1}, cleanup_policy="compact", min_compaction_lag_ms="3600000")
        self.children: list[Child] = []

    def start(self, name: str, directory: str) -> Child:
        config = {
            "bootstrap": self.kafka.bootstrap,
            "topic": self.topic,
            "directory": str(self.folder / directory),
            "log": str(self.folder / f"{name}.log"),
            "name": name,
            "sources": SOURCES,
        }
        command = [sys.executable, str(Path(__file__).with_name("state_worker.py")), json.dumps(config)]
        child = Child(name, command, log=self.folder / f"{name}.out", cwd=ROOT, env={"PYTHONPATH": str(ROOT)})
        self.children.append(child)
        return child

    def notes(self, name: str) -> list[str]:
        log = self.folder / f"{name}.log"
        return log.read_text().split("\n")[:-1] if log.exists() else []

    def wait_for_puts(self, name: str, count: int) -> None:
        wait_until(lambda: len(self.notes(name)) > count, f"{count} puts of {name}", every_s=0.02)

    def reached(self, names: Iterable[str]) -> dict[str, int]:
        """The highest offset of each source topic of which a put returned."""
        numbers = [int(put.partition(":")[2]) for name in names for put in self.puts(name)]
        return {topic: max(n for n in numbers if n % len(SOURCES) == i) for i, topic in enumerate(SOURCES)}

    def puts(self, name: str) -> set[str]:
        return {note.removeprefix("put ") for note in self.notes(name) if note.startswith("put ")}

    def model(self) -> State:
        """What the log says by the rule alone: a write with an epoch below the last CLAIM before it is nothing."""
        claim = -1
        entries: dict[bytes, bytes] = {}
        positions = dict.fromkeys(SOURCES, -1)
        for record in self.kafka.consume_all(self.topic):
            assert record.key is not None
            if record.key == b"\0claim":
                claim = record.offset
                continue
            (epoch,) = struct.unpack(">q", dict(record.headers)["epoch"])
            if epoch < claim:
                continue
            for name, data in record.headers:
                if name == "source":
                    _, offset = struct.unpack_from(">iq", data)
                    topic = data[12:].decode()
                    positions[topic] = max(positions[topic], offset)
            if record.key.startswith(b"\0"):
                continue
            if record.value is None:
                entries.pop(record.key, None)
            else:
                entries[record.key] = record.value
        return State(entries, positions)

    async def fold(self, directory: str) -> State:
        """What this package makes of it, beginning with the store in this directory."""
        settings = KafkaSettings(bootstrap=(self.kafka.bootstrap,))
        publisher = DurablePublisher(settings, name="reader")
        await publisher.start()
        states = PartitionStates(self.topic, settings, publisher, directory=self.folder / directory)
        await states.open(0)
        found = {topic: states.source_position(0, topic) for topic in SOURCES}
        entries = dict(states.scan(0, b""))
        await states.stop()
        await publisher.stop()
        return State(entries, {topic: -1 if position is None else position for topic, position in found.items()})


@pytest.fixture
def owners(kafka: Kafka, tmp_path: Path) -> Iterator[Owners]:
    made = Owners(kafka, tmp_path)
    yield made
    for child in made.children:
        child.kill()


async def test_no_put_that_returned_is_lost_by_kills_with_a_broker_that_stands_still_or_is_slow(
    own_kafka: Broker, tmp_path: Path
) -> None:
    owners = Owners(Kafka(own_kafka.bootstrap), tmp_path)
    names = [f"life{number}" for number in range(5)]
    scratch = owners.kafka.unique("scratch")
    owners.kafka.create_topics({scratch: 1})
    for name in names[4:]:
        limit_producer(own_kafka.bootstrap, name, SLOW_BYTES_PER_S)
    for number, name in enumerate(names):
        if number >= 4:  # what a quota allows for ten seconds may be taken at once: take that away
            overdraw(own_kafka.bootstrap, name, scratch, int(11 * SLOW_BYTES_PER_S))
        child = owners.start(name, "one disk")
        owners.wait_for_puts(name, 300)
        if number % 2:
            own_kafka.pause()
            await asyncio.sleep(0.5)
        child.kill()
        own_kafka.resume()
    # Its CLAIM first: what the broker still had of the last one and appends only now is in both, or in neither.
    warm = await owners.fold("one disk")
    model = owners.model()
    assert warm == model
    assert await owners.fold("no disk") == model
    for topic, offset in owners.reached(names).items():
        assert warm.positions[topic] >= offset, "a source would be read again from before what is folded in"
    for name in names:
        assert owners.puts(name)
        lost = {put for put in owners.puts(name) if put.encode() not in warm.entries}
        assert lost == set(), "a put that returned is lost"


async def test_an_owner_that_wakes_up_behind_its_successor_learns_that_it_is_too_late(owners: Owners) -> None:
    first = owners.start("first", "first")
    owners.wait_for_puts("first", 200)
    first.signal(signal.SIGSTOP)
    second = owners.start("second", "second")
    owners.wait_for_puts("second", 200)
    first.signal(signal.SIGCONT)
    wait_until(lambda: "taken" in owners.notes("first"), "the first to learn of its loss")
    so_far = len(owners.notes("second"))
    owners.wait_for_puts("second", so_far + 100)
    assert "taken" not in owners.notes("second")
    second.kill()
    model = owners.model()
    for directory in ("second", "no disk"):
        fold = await owners.fold(directory)
        assert fold == model
        for name in ("first", "second"):
            lost = {put for put in owners.puts(name) if put.encode() not in fold.entries}
            assert lost == set(), "a put that returned is lost"
    first.kill()
    assert await owners.fold("first") == model, "its own disk holds nothing of what came too late"


async def test_a_second_owner_that_comes_early_ends_the_first_at_its_next_put(owners: Owners) -> None:
    owners.start("first", "first")
    wait_until(lambda: "open" in owners.notes("first"), "the first to be open", every_s=0.01)
    second = owners.start("second", "second")
    owners.wait_for_puts("second", 50)
    wait_until(lambda: "taken" in owners.notes("first"), "the first to learn of its loss")
    second.kill()
    shutil.rmtree(owners.folder / "second")  # and its disk is lost
    fold = await owners.fold("second")
    assert fold == owners.model()
    for name in ("first", "second"):
        assert {put for put in owners.puts(name) if put.encode() not in fold.entries} == set()
