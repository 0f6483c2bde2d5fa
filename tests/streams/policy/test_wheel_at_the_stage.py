"""The wheel on a real broker: punctual, and holding only what its windows let in, however many wait. With a million
messages: tests/hazards/long/test_wheel.py."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.records import Dispatch
from schemas.topics import DEFERRAL_TIERS_MS, deferral_topic
from streams.policy.intake_windows import WHEEL_WINDOW
from streams.policy.stage import PolicyStage
from tests.streams.cluster import COUNTS, own_cluster, until_committed
from tests.support.kafka import Kafka

from .cluster import OTP, found, policy, wall_ms
from .installation import HOUR, MINUTE, config
from .wheel_load import deferral, put, recipient

LATE_AT_MOST_MS = 10_000
SCHEDULED, FAR, HOPPING = 80, 8_000, 4_000


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(config().apps) as kafka:
        yield kafka


async def test_what_waits_is_admitted_at_its_moment_and_what_waits_behind_it_stays_in_the_log(
    cluster: Kafka, tmp_path: Path
) -> None:
    group, now = cluster.unique("policy"), wall_ms()
    moments = {recipient(n): now + 3_000 + 125 * n for n in range(SCHEDULED)}
    soon = [deferral(n, moments[recipient(n)]) for n in range(SCHEDULED)]
    hopping = [deferral(SCHEDULED + n, now + 7 * HOUR) for n in range(HOPPING)]
    far = [deferral(SCHEDULED + HOPPING + n, now + 7 * HOUR) for n in range(FAR)]
    await asyncio.to_thread(put, cluster, "10m", hopping, written_at=now - 10 * MINUTE)  # all go on at once
    await asyncio.to_thread(put, cluster, "6h", far)
    await asyncio.to_thread(put, cluster, "1s", soon)
    async with policy(cluster, tmp_path, group=group) as stage:
        watch = asyncio.create_task(most_held(stage))
        sent = await found(cluster, OTP, Dispatch, lambda order: order.recipient in moments, SCHEDULED)
        await until_gone_on(cluster, group)
        watch.cancel()
        held = await watch
    late = [order.decided_at - moments[order.recipient] for order in sent]
    assert len(sent) == SCHEDULED
    assert min(late) >= 0
    assert max(late) <= LATE_AT_MOST_MS
    assert WHEEL_WINDOW * COUNTS.recipient <= held <= WHEEL_WINDOW * COUNTS.recipient * len(DEFERRAL_TIERS_MS)
    assert held < FAR


async def most_held(stage: PolicyStage) -> int:
    """The most that the stage held or was about to serve, until cancelled."""
    most = 0
    try:
        while True:
            most = max(most, stage._serving.in_memory)
            await asyncio.sleep(0.02)
    except asyncio.CancelledError:
        return most


async def until_gone_on(kafka: Kafka, group: str) -> None:
    """What had waited its time in the tier of ten minutes was passed on to that of six hours."""
    await until_committed(kafka, group, deferral_topic("10m"))
    assert sum(kafka.end_offsets(deferral_topic("6h")).values()) == FAR + HOPPING
    await until_committed(kafka, group, deferral_topic("1s"))
