"""kill -9 of dispatch processes, again and again, on a real broker with a twin that makes trouble: nothing is lost,
nothing is sent twice, by the twin's own books."""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.records import DoubtPolicy, MessageStatus
from tests.streams.cluster import own_cluster
from tests.support.kafka import Kafka
from tests.support.waiting import until
from twin.server import Twin

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
from .killing import TROUBLE, ids_of, orders, run_until, sent_of, wanted_of, worker
from .simulation import order, worst_excess

MESSAGES = 2_000
KILLS = 4


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(["login"]) as kafka:
        yield kafka


async def test_killed_again_and_again_it_loses_nothing_and_sends_nothing_twice(cluster: Kafka, tmp_path: Path) -> None:
    group, rnd = fresh_group(cluster), random.Random(4)
    made = orders(MESSAGES, doubt_policy=DoubtPolicy.RESEND)
    await asyncio.to_thread(cluster.produce, made)
    async with Twin(twin_settings(faults=TROUBLE)) as twin:
        for kill in range(KILLS):
            target = MESSAGES * (kill + 1) // (KILLS + 2) + rnd.randrange(100)
            await run_until(target, twin, worker(cluster, group, twin, tmp_path, instance="one"))
        process = worker(cluster, group, twin, tmp_path, instance="one")
        try:
            ids = ids_of(made)
            told = await until_ended(cluster, ids, 120)
            await until_committed(cluster, group, 60)
        finally:
            code = await asyncio.to_thread(process.stop)
        assert code == 0, process.output()
        sent, wanted = sent_of(twin), wanted_of(made)
        assert sent - wanted == Counter(), "sent more often than asked for"
        assert wanted - sent == Counter(), "lost"
        assert {event.status for events in told.values() for event in events} == {MessageStatus.ACCEPTED}
        sids = {message.sid for message in twin.books.outbound()}
        assert {event.sid for events in told.values() for event in events} == sids
        assert all(len({event.event_id for event in events}) == 1 for events in told.values())


async def test_of_two_workers_one_is_killed_and_the_other_resolves_its_doubts(cluster: Kafka, tmp_path: Path) -> None:
    group = fresh_group(cluster)
    made = orders(1_500)
    await asyncio.to_thread(cluster.produce, made)
    async with Twin(twin_settings(faults=TROUBLE)) as twin:
        processes = [worker(cluster, group, twin, tmp_path, instance=name) for name in ("one", "two")]
        try:
            await until(lambda: len(twin.books.messages) >= 500, 90)
            await asyncio.to_thread(processes[0].kill)
            told = await until_ended(cluster, ids_of(made), 120)
            await until_committed(cluster, group, 60)
        finally:
            for process in processes:
                await asyncio.to_thread(process.stop)
        assert sent_of(twin) == wanted_of(made)
        assert {event.status for events in told.values() for event in events} == {MessageStatus.ACCEPTED}


async def test_a_worker_paused_longer_than_its_session_sends_nothing_when_it_wakes(
    cluster: Kafka, tmp_path: Path
) -> None:
    group = fresh_group(cluster)
    made = orders(1_600)
    await asyncio.to_thread(cluster.produce, made)
    async with Twin(twin_settings(faults=TROUBLE)) as twin:
        first = worker(cluster, group, twin, tmp_path, instance="one")
        second = None
        try:
            await until(lambda: len(twin.books.messages) >= 300, 90)
            first.signal(signal.SIGSTOP)
            paused_with = len(twin.books.messages)
            second = worker(cluster, group, twin, tmp_path, instance="two")
            await until(lambda: len(twin.books.messages) >= paused_with + 300, 90)
            first.signal(signal.SIGCONT)
            told = await until_ended(cluster, ids_of(made), 120)
            await until_committed(cluster, group, 60)
        finally:
            for process in (first, second):
                if process is not None:
                    await asyncio.to_thread(process.stop)
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
