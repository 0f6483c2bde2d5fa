"""What partition state costs at some number of recipients: restore, memory, and each message.

    python -m bench.state [recipients] [--value bytes]

One entry per recipient, spread over the sixteen partitions that recipients have by default. Processes of their own open
all of them, one after the other:

* empty: there is nothing yet; what a message costs then.
* cold: everything is in the log and nothing on disk. Then what a message costs.
* warm: everything but the CLAIMs is on disk. Then it serves as many messages again, and is killed.
* killed: what its predecessor left on disk, and the rest from the log.

A message is what policy asks of its state: four look-ups, one of which finds something, and one put; 500 at once, of
recipients at random.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.policy import cpu_s, memory_mb
from connectors.garbage import collect_seldom
from connectors.kafka.partitioning import partition_of
from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.state import PartitionStates, metrics
from connectors.kafka.state.envelope import headers_of
from tests.support.brokers import start_own_broker
from tests.support.kafka import Kafka, Outgoing
from tests.support.processes import Child

ROOT = Path(__file__).parents[1]
PARTITIONS = 16
RECIPIENTS, VALUE_BYTES = 1_000_000, 150
MESSAGES, AT_ONCE = 50_000, 500
PHASES = ("empty", "cold", "warm", "killed")
COLUMNS = ("phase", "open", "records/s", "us CPU each", "MB before, open, later", "message: us CPU, of the loop", "/s")
GIVE_UP_AFTER_S = 300.0
_FOUND, *_NOT_FOUND = b"\x00d", b"\x00p", b"\x00x", b"\x00f"


def recipient(number: int) -> bytes:
    """A number in E.164."""
    return b"+1%03d%07d" % (200 + number % 700, number)


# The measured process


async def worker(phase: str, topic: str, bootstrap: str, folder: Path, recipients: int, value_bytes: int) -> None:
    """Open everything, serve messages, tell how it went as a line of JSON."""
    settings = KafkaSettings(bootstrap=(bootstrap,))
    publisher = DurablePublisher(settings, name="bench")
    await publisher.start()
    await publisher.warm()
    collect_seldom()
    states = PartitionStates(topic, settings, publisher, directory=folder)
    told: dict[str, float] = {"before_mb": memory_mb(os.getpid())}
    began, cpu = time.perf_counter(), cpu_s(os.getpid())
    await asyncio.gather(*(states.open(partition) for partition in range(PARTITIONS)))
    told |= {
        "open_s": time.perf_counter() - began,
        "open_cpu_s": cpu_s(os.getpid()) - cpu,
        "records": metrics.RESTORED.labels(topic)._value.get(),
        "open_mb": memory_mb(os.getpid()),
    }
    if phase != "killed":
        began, cpu, loop = time.perf_counter(), cpu_s(os.getpid()), time.thread_time()
        await serve(states, recipients, os.urandom(value_bytes))
        told |= {
            "message_us": 1e6 * (cpu_s(os.getpid()) - cpu) / MESSAGES,
            "loop_us": 1e6 * (time.thread_time() - loop) / MESSAGES,
            "messages_per_s": MESSAGES / (time.perf_counter() - began),
            "served_mb": memory_mb(os.getpid()),
        }
    print(json.dumps(told), flush=True)
    if phase != "warm":
        await states.stop()
        await publisher.stop()
    os._exit(0)


async def serve(states: PartitionStates, recipients: int, value: bytes) -> None:
    """Messages to people at random."""
    people = iter(random.choices(range(recipients), k=MESSAGES))

    async def one_after_the_other() -> None:
        for number in people:
            person = recipient(number)
            home = partition_of(person, PARTITIONS)
            states.get(home, person + _FOUND)
            for kind in _NOT_FOUND:
                states.get(home, person + kind)
            await states.put(home, {person + _FOUND: value})

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_ONCE)))


# The comparison


def main(recipients: int, value_bytes: int) -> None:
    """Print a table."""
    broker = start_own_broker()
    try:
        kafka = Kafka(broker.bootstrap)
        with tempfile.TemporaryDirectory() as place:
            print(f"{recipients:,} recipients, values of {value_bytes} bytes, {PARTITIONS} partitions")
            print(f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|")
            for phase in PHASES:
                topic = "bench-empty" if phase == "empty" else "bench-state"
                if phase in ("empty", "cold"):
                    kafka.create_topics({topic: PARTITIONS}, cleanup_policy="compact", min_compaction_lag_ms="3600000")
                if phase == "cold":
                    kafka.produce(entries(topic, recipients, value_bytes))
                print(row(phase, measured(phase, topic, kafka, Path(place), recipients, value_bytes)), flush=True)
    finally:
        broker.close()


def entries(topic: str, recipients: int, value_bytes: int) -> Iterator[Outgoing]:
    """What a process before wrote."""
    headers = tuple(headers_of(0, ()))
    value = os.urandom(value_bytes)
    for number in range(recipients):
        person = recipient(number)
        yield Outgoing(topic, value, person + _FOUND, partition_of(person, PARTITIONS), headers)


def measured(phase: str, topic: str, kafka: Kafka, folder: Path, recipients: int, value_bytes: int) -> dict[str, float]:
    """What a process of that phase tells."""
    arguments = [phase, topic, kafka.bootstrap, str(folder / topic), str(recipients), str(value_bytes)]
    child = Child(
        phase, [sys.executable, "-m", "bench.state", "--worker", *arguments], log=folder / f"{phase}.log", cwd=ROOT
    )
    try:
        deadline = time.monotonic() + GIVE_UP_AFTER_S
        while child.returncode is None:
            if time.monotonic() > deadline:
                raise SystemExit(f"{phase} did not end:\n{child.output()}")
            time.sleep(0.1)
        told: dict[str, float] = json.loads(child.output().strip().splitlines()[-1])
        return told
    finally:
        child.stop()


def row(phase: str, told: dict[str, float]) -> str:
    """A line of the table."""
    records = told["records"]
    rate, cost = "-", "-"
    if records > PARTITIONS:  # more than the CLAIMs
        rate, cost = f"{records / told['open_s']:,.0f}", f"{1e6 * told['open_cpu_s'] / records:.1f}"
    later, message, served = "-", "-", "-"
    if "message_us" in told:
        later, served = f"{told['served_mb']:.0f}", f"{told['messages_per_s']:,.0f}"
        message = f"{told['message_us']:.0f}, {told['loop_us']:.0f}"
    memory = f"{told['before_mb']:.0f}, {told['open_mb']:.0f}, {later}"
    return f"| {phase} | {told['open_s']:.2f} s | {rate} | {cost} | {memory} | {message} | {served} |"


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        phase, topic, bootstrap, place, recipients, value_bytes = sys.argv[2:]
        asyncio.run(worker(phase, topic, bootstrap, Path(place), int(recipients), int(value_bytes)))
    else:
        parser = argparse.ArgumentParser()
        parser.add_argument("recipients", nargs="?", type=int, default=RECIPIENTS)
        parser.add_argument("--value", type=int, default=VALUE_BYTES)
        given = parser.parse_args()
        main(given.recipients, given.value)
