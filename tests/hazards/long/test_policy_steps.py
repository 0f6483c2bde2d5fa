"""kill -9 of policy at every step of its loop under load: every request has one outcome, no message is on two lanes, no
cap is exceeded, no repeat becomes a second message."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.streams.cluster import own_cluster
from tests.streams.policy.fault_points import STEPS
from tests.streams.policy.installation import config
from tests.streams.policy.test_kills import check, killed_at, load
from tests.support.kafka import Kafka

from .conftest import Report

PEOPLE = 1_500
ROUNDS = 3

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(config().apps) as kafka:
        yield kafka


async def test_killed_at_every_step_of_its_loop_it_decides_everything_once(
    cluster: Kafka, tmp_path: Path, report: Report
) -> None:
    began, steps = time.monotonic(), STEPS * ROUNDS
    made = await killed_at(steps, cluster, tmp_path, lambda: load(0, random.Random(7), PEOPLE, last_s=150.0))
    await asyncio.to_thread(check, cluster, made)
    report(f"{len(made.requests)} requests, {len(steps)} kills, {time.monotonic() - began:.0f} s")
