"""What it costs to take records from Kafka, without doing anything with them: stock Faust against our transport, in
turns within one run, each as a process of its own.

    python -m bench.consume [records] [rounds]

The agent is the same: it takes every event and finishes it at once. A rate is that from the first thousand records to
the last; CPU and memory are the process's own, the offsets it commits included.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import faust
import uvloop

from bench.policy import cpu_s, memory_mb
from connectors.kafka.app import create_app
from connectors.kafka.settings import KafkaSettings
from tests.support.brokers import start_own_broker
from tests.support.kafka import Kafka, Outgoing
from tests.support.processes import Child

ROOT = Path(__file__).parents[1]
TOPIC = "consume"
PARTITIONS = 8
RECORDS, ROUNDS = 100_000, 3
WARM = 1000
VALUE = bytes(200)
WINDOW = 5000
GIVE_UP_AFTER_S = 120.0


# The measured process


def worker(transport: str, bootstrap: str, group: str, datadir: str, expected: int) -> None:
    """Take all records, then tell how it went, as a line of JSON."""
    app = (
        create_app(
            KafkaSettings((bootstrap,)), group=group, anchor=None, window=lambda tp: WINDOW, datadir=Path(datadir)
        )
        if transport == "ours"
        else faust.App(
            group,
            broker=f"kafka://{bootstrap}",
            datadir=datadir,
            web_enabled=False,
            key_serializer="raw",
            value_serializer="raw",
            topic_allow_declare=False,
            topic_disable_leader=True,
            consumer_auto_offset_reset="earliest",
            autodiscover=False,
        )
    )
    told: asyncio.Event | None = None
    taken, began, cpu_began = 0, 0.0, 0.0

    @app.agent(app.topic(TOPIC, value_type=bytes, value_serializer="raw"))  # type: ignore[untyped-decorator]  # Faust is untyped
    async def take(stream: Any) -> None:
        nonlocal taken, began, cpu_began
        async for event in stream.noack().events():
            event.ack()
            taken += 1
            if taken == WARM:
                began, cpu_began = time.monotonic(), cpu_s(os.getpid())
            if taken == expected and told is not None:
                seconds, cpu = time.monotonic() - began, cpu_s(os.getpid()) - cpu_began
                measured = expected - WARM
                print(json.dumps([measured / seconds, 1e6 * cpu / measured, memory_mb(os.getpid())]), flush=True)
                told.set()

    async def run() -> None:
        nonlocal told
        told = asyncio.Event()
        app.finalize()
        started = asyncio.ensure_future(app.start())
        await told.wait()
        started.cancel()
        os._exit(0)

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(run())


# The comparison


def main(records: int = RECORDS, rounds: int = ROUNDS) -> None:
    """Print a table of the medians."""
    broker = start_own_broker()
    try:
        kafka = Kafka(broker.bootstrap)
        kafka.create_topics({TOPIC: PARTITIONS})
        kafka.produce(Outgoing(TOPIC, VALUE, None, number % PARTITIONS) for number in range(records))
        with tempfile.TemporaryDirectory() as place:
            told: dict[str, list[tuple[float, float, float]]] = {"stock": [], "ours": []}
            for _ in range(rounds):
                for transport, results in told.items():
                    results.append(measure(kafka, transport, Path(place), records))
            print(f"{records:,} records of {len(VALUE)} bytes, {PARTITIONS} partitions, median of {rounds} rounds")
            print("| transport | records/s | us CPU each | MB | rounds |")
            print("|---|---|---|---|---|")
            for transport, results in told.items():
                rate, cpu, memory = (statistics.median(each[column] for each in results) for column in range(3))
                each = " ".join(f"{one[0]:.0f}" for one in results)
                print(f"| {transport} | {rate:,.0f} | {cpu:.0f} | {memory:.0f} | {each} |")
            ours, stock = (statistics.median(each[0] for each in told[name]) for name in ("ours", "stock"))
            print(f"ours / stock: {ours / stock:.2f}")
    finally:
        broker.close()


def measure(kafka: Kafka, transport: str, folder: Path, records: int) -> tuple[float, float, float]:
    """(records per second, CPU microseconds per record, megabytes) of one worker in a group of its own."""
    group = kafka.unique(transport)
    command = [sys.executable, "-m", "bench.consume", "--worker", transport, kafka.bootstrap, group]
    child = Child(transport, [*command, str(folder / group), str(records)], log=folder / f"{group}.log", cwd=ROOT)
    try:
        deadline = time.monotonic() + GIVE_UP_AFTER_S
        while child.returncode is None:
            if time.monotonic() > deadline:
                raise SystemExit(f"{transport} did not get all:\n{child.output()}")
            time.sleep(0.1)
        rate, cpu, memory = json.loads(child.output().strip().splitlines()[-1])
        return rate, cpu, memory
    finally:
        child.stop()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        transport, bootstrap, group, datadir, records = sys.argv[2:]
        worker(transport, bootstrap, group, datadir, int(records))
    else:
        parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
        parser.add_argument("records", type=int, nargs="?", default=RECORDS)
        parser.add_argument("rounds", type=int, nargs="?", default=ROUNDS)
        asked = parser.parse_args()
        main(asked.records, asked.rounds)
