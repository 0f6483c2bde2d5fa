"""How long an urgent message waits at a lane that a campaign keeps busy: from the moment before it is written to Kafka
to its POST, as the twin saw it.

    python -m bench.priority [--bulk 100000] [--seconds 60]

One lane of 100 segments/s; so many bulk messages of the same app wait; 5 critical ones a second come. Told as well: how
much of the lane is used, the share of bulk while critical alone asks for more than the lane has, and dispatch's memory.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.lanes import Process, broker_with, percentile, texts, twin_with
from schemas.records import MessageClass
from tests.support.kafka import Kafka, Outgoing
from tests.support.waiting import until
from twin.messages import Message
from twin.server import Twin

Write = Callable[[Iterable[Outgoing]], object]

RATES = {"campaign": 100.0}
[LANE] = RATES
CRITICAL_PER_S = 5.0
RUSH = 200
"""Critical messages at once, at the end: two seconds of the lane."""
STARTED = 100
"""Bulk messages sent before the first urgent one comes."""


@dataclass
class Figures:
    """What was seen.

    Attributes:
        waits_s: from before the write to Kafka to the POST, of each urgent message.
        overtaken_by: how many bulk messages were POSTed between the acknowledgement of each urgent one and its POST.
        use: messages per second of the whole lane, as a part of its rate, while single urgent ones came.
        bulk_in_rush: bulk's part of what was sent while the rush lasted.
        rss_mb: memory of dispatch, once a second.
    """

    waits_s: list[float] = field(default_factory=list)
    overtaken_by: list[int] = field(default_factory=list)
    use: float = 0.0
    bulk_in_rush: float = 0.0
    rss_mb: list[float] = field(default_factory=list)


async def measure(kafka: Kafka, folder: Path, *, bulk: int, seconds: float) -> Figures:
    """Let so many bulk messages wait and urgent ones come for so long."""
    with kafka.writer() as write:
        await asyncio.to_thread(write, texts(RATES, LANE, MessageClass.BULK, range(bulk)))
        async with Twin(twin_with(RATES)) as twin:
            process = Process(kafka, twin.url, RATES, folder)
            try:
                await until(lambda: len(twin.books.messages) >= STARTED, 120)
                figures = await _urgent_ones(write, twin, process, seconds)
                await _rush(write, twin, figures)
            finally:
                await asyncio.to_thread(process.child.stop)
    return figures


async def _urgent_ones(write: Write, twin: Twin, process: Process, seconds: float) -> Figures:
    figures, count = Figures(), int(seconds * CRITICAL_PER_S)
    written: dict[str, tuple[float, int]] = {}
    began = time.monotonic()
    for number in range(count):
        # Due later than all bulk: earliest deadline first would put each behind it.
        [urgent] = texts(RATES, LANE, MessageClass.CRITICAL, [number], late_ms=60_000)
        before = time.time()
        await asyncio.to_thread(write, [urgent])
        written[f"critical {number}"] = (before, len(twin.books.messages))
        if number % int(CRITICAL_PER_S) == 0:
            figures.rss_mb.append(process.rss_mb())
        await asyncio.sleep(max(0.0, began + (number + 1) / CRITICAL_PER_S - time.monotonic()))
    await until(lambda: sum(not _is_bulk(message) for message in twin.books.messages) == count, 60)
    at = {message.submitted: place for place, message in enumerate(twin.books.messages)}
    for body, (before, place) in written.items():
        figures.waits_s.append(twin.books.messages[at[body]].received - before)
        figures.overtaken_by.append(sum(_is_bulk(each) for each in twin.books.messages[place : at[body]]))
    span = twin.books.messages[at["critical 0"] : at[f"critical {count - 1}"] + 1]
    figures.use = (len(span) - 1) / (span[-1].received - span[0].received) / RATES[LANE]
    return figures


async def _rush(write: Write, twin: Twin, figures: Figures) -> None:
    rush = list(texts(RATES, LANE, MessageClass.CRITICAL, range(100_000, 100_000 + RUSH)))
    begun = len(twin.books.messages)
    await asyncio.to_thread(write, rush)

    def places() -> list[int]:
        sent = enumerate(twin.books.messages[begun:], begun)
        return [place for place, message in sent if not _is_bulk(message)]

    await until(lambda: len(places()) == RUSH, 120)
    rushed = places()
    span = twin.books.messages[rushed[0] : rushed[-1] + 1]
    figures.bulk_in_rush = sum(map(_is_bulk, span)) / len(span)


def _is_bulk(message: Message) -> bool:
    return message.submitted.startswith("bulk")


def report(bulk: int, figures: Figures) -> str:
    """One row of the table."""
    waits = [1000 * each for each in figures.waits_s]
    memory: Sequence[float] = figures.rss_mb
    return (
        f"| {bulk:,} | {len(waits)} | {percentile(waits, 0.5):.0f} ms | {percentile(waits, 0.99):.0f} ms "
        f"| {max(waits):.0f} ms | {max(figures.overtaken_by)} | {figures.use:.1%} | {figures.bulk_in_rush:.1%} "
        f"| {memory[0]:.0f} to {max(memory):.0f} MB |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bulk", type=int, nargs="+", default=[100_000])
    parser.add_argument("--seconds", type=float, default=60.0)
    asked = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}")
    print(
        "| bulk waiting | urgent | p50 | p99 | worst | bulk before it, at most | lane used | bulk in a rush | memory |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for bulk in asked.bulk:
        with broker_with(8) as kafka, tempfile.TemporaryDirectory() as folder:
            print(report(bulk, asyncio.run(measure(kafka, Path(folder), bulk=bulk, seconds=asked.seconds))), flush=True)


if __name__ == "__main__":
    main()
