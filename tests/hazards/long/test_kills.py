"""The ordeal of tests/streams/dispatch/test_kills.py at full size: 100,000 messages, three workers, 45 deaths."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.streams.cluster import own_cluster
from tests.streams.dispatch import ordeal
from tests.streams.dispatch.cluster import fresh_group
from tests.streams.dispatch.fault_points import STEPS
from tests.support.kafka import Kafka
from twin.server import Twin

from .conftest import Report

MESSAGES = 100_000
DEATHS = 45
SETTLE_S = 15.0
"""The process that is the twin too stands still for some seconds now and then, with so much in its books."""

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(["login"]) as kafka:
        yield kafka


async def test_a_hundred_thousand_messages_through_forty_five_deaths_and_every_trouble(
    cluster: Kafka, tmp_path: Path, report: Report
) -> None:
    group, made = fresh_group(cluster), ordeal.orders(MESSAGES)
    began = time.monotonic()
    await asyncio.to_thread(cluster.produce, made)
    async with Twin(ordeal.twin_of_troubles(0.4, SETTLE_S)) as twin, ordeal.Callbacks() as callbacks:
        trial = ordeal.Ordeal(cluster, group, twin, callbacks, tmp_path, random.Random(4), SETTLE_S)
        try:
            await trial.run(["static-one", "two", "three"], deaths=DEATHS, by=int(MESSAGES * 0.85))
            await trial.finish(400)
        finally:
            await trial.stop()
        await asyncio.wait_for(twin.settled(), 60)
        books = await asyncio.to_thread(ordeal.balance, cluster, twin, callbacks, made, SETTLE_S)
    report(f"{time.monotonic() - began:.0f} s; {books}; ends of processes: {dict(trial.deaths)}")
    assert (books.lost, books.twice, books.left_open) == (0, 0, 0), books
    assert trial.deaths.total() >= DEATHS
    assert len(trial.deaths.keys() & STEPS.keys()) >= len(STEPS) * 2 // 3, "most steps of the send loop"
