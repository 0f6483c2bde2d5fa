"""A million messages on the wheel: flat memory, also while hundreds of thousands change tiers at once, and those whose
moment comes meanwhile are admitted in time."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.records import Dispatch
from schemas.topics import deferral_topic
from tests.streams.cluster import own_cluster
from tests.streams.policy.cluster import OTP, found, wall_ms
from tests.streams.policy.installation import HOUR, MINUTE, config
from tests.streams.policy.test_wheel_at_the_stage import LATE_AT_MOST_MS
from tests.streams.policy.wheel_load import deferral, put, recipient
from tests.support.kafka import Kafka
from tests.support.processes import Child

from .conftest import Report

ROOT = Path(__file__).parents[3]
FAR, HOPPING, SCHEDULED, SHORT = 800_000, 200_000, 1_000, 200
SHORT_LATE_AT_MOST_MS = 1_000
GROWTH_MB = 100.0
"""A message that is held costs a kilobyte and more: a million would be a gigabyte."""
HOPS_WITHIN_S = 300.0

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(config().apps) as kafka:
        yield kafka


def resident_mb(child: Child) -> float:
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(child.pid)], capture_output=True, text=True, check=True)
    return int(told.stdout) / 1024


async def test_a_million_messages_wait_in_flat_memory_and_each_is_admitted_at_its_moment(
    cluster: Kafka, tmp_path: Path, report: Report
) -> None:
    group = cluster.unique("policy")
    told = {"bootstrap": cluster.bootstrap, "group": group, "datadir": str(tmp_path / "policy")}
    command = [sys.executable, "-m", "tests.streams.policy.worker", json.dumps(told)]
    process = Child("policy", command, log=tmp_path / "policy.log", cwd=ROOT)
    try:
        warm = {recipient(n) for n in range(2_000)}
        await asyncio.to_thread(put, cluster, "1s", (deferral(n, wall_ms()) for n in range(len(warm))))
        await found(cluster, OTP, Dispatch, lambda order: order.recipient in warm, len(warm))
        before_mb = await asyncio.to_thread(resident_mb, process)
        first = len(warm)
        written_at = wall_ms() - 10 * MINUTE
        far = (deferral(n, wall_ms() + 7 * HOUR) for n in range(first, first + FAR))
        await asyncio.to_thread(put, cluster, "6h", far)
        hopping = (deferral(n, wall_ms() + 7 * HOUR) for n in range(first + FAR, first + FAR + HOPPING))
        await asyncio.to_thread(put, cluster, "10m", hopping, written_at=written_at)
        first += FAR + HOPPING
        now = wall_ms()
        moments = {recipient(n): now + 500 + 60 * (n - first) for n in range(first, first + SCHEDULED)}
        scheduled = [deferral(n, moments[recipient(n)]) for n in range(first, first + SCHEDULED)]
        await asyncio.to_thread(put, cluster, "1s", scheduled)
        most_mb, began = before_mb, time.monotonic()
        while sum((await asyncio.to_thread(cluster.committed, group, deferral_topic("10m"))).values()) < HOPPING:
            most_mb = max(most_mb, await asyncio.to_thread(resident_mb, process))
            assert process.returncode is None, process.output()
            assert time.monotonic() < began + HOPS_WITHIN_S, "the wheel stands still"
            await asyncio.sleep(0.5)
        hopped_s = time.monotonic() - began
        sent = await found(cluster, OTP, Dispatch, lambda order: order.recipient in moments, SCHEDULED)
        # Nothing else to do: what waits a second is at most a second late.
        first, now = first + SCHEDULED, wall_ms()
        retries = {recipient(n): now + 1_000 + 20 * (n - first) for n in range(first, first + SHORT)}
        await asyncio.to_thread(
            put, cluster, "1s", [deferral(n, retries[recipient(n)]) for n in range(first, first + SHORT)]
        )
        short = await found(cluster, OTP, Dispatch, lambda order: order.recipient in retries, SHORT)
        most_mb = max(most_mb, await asyncio.to_thread(resident_mb, process))
        assert process.returncode is None, process.output()
    finally:
        await asyncio.to_thread(process.stop)
    late = sorted(order.decided_at - moments[order.recipient] for order in sent)
    late_short = sorted(order.decided_at - retries[order.recipient] for order in short)
    report(
        f"{before_mb:.0f} MB before, at most {most_mb:.0f} MB; {HOPPING} passed on in {hopped_s:.0f} s; late at most "
        f"{late[-1]} ms meanwhile (median {late[len(late) // 2]}), {late_short[-1]} ms afterwards"
    )
    assert len(sent) == SCHEDULED
    assert late[0] >= 0
    assert late[-1] <= LATE_AT_MOST_MS
    assert late_short[0] >= 0
    assert late_short[-1] <= SHORT_LATE_AT_MOST_MS
    assert most_mb - before_mb <= GROWTH_MB
