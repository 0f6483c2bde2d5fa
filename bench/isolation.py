"""What 60 slow senders with deep backlogs cost four that nothing holds back, and what they cost by themselves.

    python -m bench.isolation [--rounds 3] [--messages 6000] [--idle 30]

A round: dispatch serves 64 lanes; the four free ones send so many messages each, alone; then the 60 lanes of 1
segment/s get backlogs, and the four send as many again; then, with nothing left but the 60, dispatch's CPU and memory
are watched. A lane's rate is that of the middle 80 % of its messages at the server.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.dispatch_ours import UNPACED, address
from bench.dispatch_vs_naive import Server, rate_of, sink
from bench.lanes import Process, broker_with, texts
from schemas.records import MessageClass
from tests.support.kafka import Kafka
from tests.support.waiting import wait_until

SLOW = {f"slow{number}": 1.0 for number in range(60)}
FREE = {f"free{number}": UNPACED for number in range(4)}
RATES = SLOW | FREE
BACKLOG = 1_000
"""Messages per slow lane: a quarter of an hour."""


@dataclass(frozen=True)
class Round:
    """One round.

    Attributes:
        alone, beside: messages per second of each free lane.
        idle_cpu: of a core, while only the slow lanes send.
        rss_mb: memory at the beginning of that time, its maximum within it.
        slow_rate: messages per second of all slow lanes then.
    """

    alone: list[float]
    beside: list[float]
    idle_cpu: float
    rss_mb: tuple[float, float]
    slow_rate: float

    @property
    def kept(self) -> float:
        """What the four together kept of their rate."""
        return sum(self.beside) / sum(self.alone)


def measure(kafka: Kafka, folder: Path, *, messages: int, idle_s: float) -> Round:
    """One round with a process of its own, on a broker that has no messages."""
    with sink(0, folder, None) as server:
        process = Process(kafka, server.url, RATES, folder)
        try:
            alone = _free(kafka, server, messages, 0)
            for lane in SLOW:
                kafka.produce(texts(RATES, lane, MessageClass.BULK, range(BACKLOG)))
            slow = {address(number) for number in range(len(SLOW))}
            wait_until(lambda: slow <= server.senders().keys(), "each slow lane to send", within_s=60)
            beside = _free(kafka, server, messages, messages)
            return Round(alone, beside, *_idle(process, server, idle_s))
        finally:
            process.child.stop()


def _free(kafka: Kafka, server: Server, messages: int, first: int) -> list[float]:
    numbers = range(first, first + messages)
    in_turn = zip(*(texts(RATES, lane, MessageClass.NORMAL, numbers) for lane in FREE), strict=True)
    kafka.produce(itertools.chain.from_iterable(in_turn))
    addresses = [address(len(SLOW) + number) for number in range(len(FREE))]
    total = first + messages

    def done() -> bool:
        senders = server.senders()
        return all(senders.get(each, (0, []))[0] >= total for each in addresses)

    wait_until(done, "the free lanes to be empty", within_s=180)
    times = [server.senders()[each][1] for each in addresses]
    return [rate_of(each[-(messages // 100) :]) for each in times]


def _idle(process: Process, server: Server, seconds: float) -> tuple[float, tuple[float, float], float]:
    began, cpu_s, sent = time.monotonic(), process.cpu_s(), server.seen()[0]
    memory = [process.rss_mb()]
    while time.monotonic() < began + seconds:
        time.sleep(1)
        memory.append(process.rss_mb())
    took = time.monotonic() - began
    return (process.cpu_s() - cpu_s) / took, (memory[0], max(memory)), (server.seen()[0] - sent) / took


def report(number: int, one: Round) -> str:
    """One row of the table."""
    return (
        f"| {number} | {sum(one.alone):,.0f} | {sum(one.beside):,.0f} | {one.kept:.0%} | {one.idle_cpu:.1%} "
        f"| {one.slow_rate:.1f} | {one.rss_mb[0]:.0f} to {one.rss_mb[1]:.0f} MB |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--messages", type=int, default=6_000, help="of each free lane, twice; hundreds")
    parser.add_argument("--idle", type=float, default=30.0, help="seconds")
    asked = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print("| round | free lanes alone, messages/s | beside 60 slow ones | kept | idle CPU | slow lanes/s | memory |")
    print("|---|---|---|---|---|---|---|")
    rounds = []
    for number in range(asked.rounds):
        with broker_with(len(RATES)) as kafka, tempfile.TemporaryDirectory() as folder:
            rounds.append(measure(kafka, Path(folder), messages=asked.messages, idle_s=asked.idle))
        print(report(number + 1, rounds[-1]), flush=True)
    print(f"kept, median: {statistics.median(one.kept for one in rounds):.0%}")


if __name__ == "__main__":
    main()
