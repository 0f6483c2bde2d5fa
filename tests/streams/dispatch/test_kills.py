"""kill -9 of dispatch processes, again and again, on a real broker with a twin that makes trouble: nothing is lost,
nothing is sent twice, by the twin's own books."""

from __future__ import annotations

import asyncio
import math
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.records import MessageStatus
from tests.streams.cluster import own_cluster
from tests.support.kafka import Kafka
from tests.support.processes import Child
from tests.support.waiting import until
from twin.server import Twin

from . import ordeal
from .cluster import (
    ADDRESSES,
    RATES,
    fresh_group,
    lanes,
    outgoing,
    twin_settings,
    until_committed,
    until_ended,
    wall_ms,
)
from .killing import TROUBLE, ids_of, orders, posts_of, run_until, sent_of, wanted_of, worker
from .simulation import order, worst_excess

MESSAGES = 1_500
DEATHS = 5


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(["login"]) as kafka:
        yield kafka


async def test_workers_that_die_and_come_back_amid_every_trouble_lose_nothing_and_send_nothing_twice(
    cluster: Kafka, tmp_path: Path
) -> None:
    group, made = fresh_group(cluster), ordeal.orders(MESSAGES)
    await asyncio.to_thread(cluster.produce, made)
    async with Twin(ordeal.twin_of_troubles()) as twin, ordeal.Callbacks() as callbacks:
        trial = ordeal.Ordeal(cluster, group, twin, callbacks, tmp_path, random.Random(4))
        try:
            await trial.run(["static-one", "two"], deaths=DEATHS, by=int(MESSAGES * 0.8))
            await trial.finish(120)
        finally:
            await trial.stop()
        await asyncio.wait_for(twin.settled(), 30)
        books = await asyncio.to_thread(ordeal.balance, cluster, twin, callbacks, made)
    assert (books.lost, books.twice, books.left_open) == (0, 0, 0), books
    assert books.found >= 1, books
    assert books.not_found >= 1, books
    assert trial.deaths.total() >= DEATHS


async def test_a_worker_paused_longer_than_its_session_sends_nothing_when_it_wakes(
    cluster: Kafka, tmp_path: Path
) -> None:
    """Nothing until it is given partitions anew: it wakes up with messages that its successor is sending."""
    group = fresh_group(cluster)
    made, served = orders(1_600), tmp_path / "served"
    await asyncio.to_thread(cluster.produce, made)
    async with Twin(twin_settings(faults=TROUBLE)) as twin, ordeal.Callbacks() as callbacks:

        def start(name: str) -> Child:
            return worker(
                cluster, group, twin, tmp_path, instance=name, callbacks=callbacks.url(name), served=str(served / name)
            )

        served.mkdir()
        first = start("one")
        second = None
        try:
            await until(lambda: len(posts_of(twin, callbacks.url("one"))) >= 300, 90)
            first.signal(signal.SIGSTOP)
            second = start("two")
            await until(lambda: len(posts_of(twin, callbacks.url("two"))) >= 300, 90)
            assert len(twin.books.messages) < len(made), "there is something to send"
            woken = time.time()
            first.signal(signal.SIGCONT)
            told = await until_ended(cluster, ids_of(made), 120)
            await until_committed(cluster, group, 60)
        finally:
            for process in (first, second):
                if process is not None:
                    await asyncio.to_thread(process.stop)
        again = min((at for at in map(float, (served / "one").read_text().split()) if at > woken), default=math.inf)
        assert [at - woken for at in posts_of(twin, callbacks.url("one")) if woken < at < again] == []
        assert sent_of(twin) == wanted_of(made)
        assert {event.status for events in told.values() for event in events} == {MessageStatus.ACCEPTED}


async def test_a_successor_waits_until_its_predecessors_last_message_is_paid(cluster: Kafka, tmp_path: Path) -> None:
    """A text of 20 segments occupies a 2/s sender for 10 s, also when its process is killed right after it."""
    group = fresh_group(cluster)
    body = "ж" * (67 * 20)
    made = []
    for number in range(3):
        each = order(
            lane="slow", recipient=f"+1415557{number:04d}", body=body, segments=20, deadline=wall_ms() + 600_000
        )
        each.sender = ADDRESSES["slow"]
        made.append(outgoing(each, lanes().partition_of("slow")))
    await asyncio.to_thread(cluster.produce, made)
    async with Twin(twin_settings()) as twin:
        await run_until(1, twin, worker(cluster, group, twin, tmp_path, instance="one"))
        process = worker(cluster, group, twin, tmp_path, instance="one")
        try:
            await until(lambda: len(twin.books.messages) == 3, 90)
        finally:
            await asyncio.to_thread(process.stop)
        starts = [(message.accepted, message.segments) for message in twin.books.outbound()]
    assert [segments for _, segments in starts] == [20, 20, 20]
    # The twin shares this test's loop: what it notes may be late by some hundredths of a second.
    assert worst_excess(starts, RATES["slow"]) <= RATES["slow"] * 0.2
