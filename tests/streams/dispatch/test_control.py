"""Switches on comms.control while a stage on a real broker sends to a twin."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.records import Control, ControlAction, ControlSubject
from schemas.topics import CONTROL
from streams.control.switches import Aspect, control_key
from tests.streams.cluster import CODEC, own_cluster
from tests.support.kafka import Kafka, Outgoing
from tests.support.waiting import until
from twin.server import Twin

from .cluster import ADDRESSES, dispatch, fresh_group, twin_settings, until_committed, until_ended, wall_ms
from .test_stage import ids_of, to_send

LANE = ControlSubject.LANE
ON_THE_WAY_S = 1.0
"""A POST that had begun when the pause was acknowledged arrives, and the pause reaches the process, within that."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(["login"]) as kafka:
        yield kafka


async def write(kafka: Kafka, action: ControlAction, aspect: Aspect = Aspect.PAUSE, **more: Any) -> None:
    """Returns once Kafka has acknowledged the switch of lane `second`."""
    record = Control(subject_kind=LANE, subject="second", action=action, by="ada", at=wall_ms(), **more)
    key = control_key(LANE, "second", aspect)
    await asyncio.to_thread(kafka.produce, [Outgoing(CONTROL, CODEC.encode(record), key)])


def posts(twin: Twin, lane: str = "second") -> int:
    return sum(message.from_ == ADDRESSES[lane] for message in twin.books.outbound())


async def test_a_pause_under_load_holds_also_through_a_restart_until_it_is_resumed(
    cluster: Kafka, tmp_path: Path
) -> None:
    group = fresh_group(cluster)
    async with Twin(twin_settings()) as twin:
        sent = to_send(600, lane="second") + to_send(20, lane="fast", start=2000)
        await asyncio.to_thread(cluster.produce, sent)
        async with dispatch(cluster, tmp_path / "a", group=group, twin_url=twin.url) as stage:
            await until(lambda: posts(twin) > 50)
            await write(cluster, ControlAction.PAUSE, reason="carrier asks")
            await asyncio.sleep(ON_THE_WAY_S)
            at_pause = posts(twin)
            assert at_pause < 600
            await asyncio.sleep(1.0)
            assert posts(twin) == at_pause
            [shown] = [each for each in stage.view.show()["lanes"] if each["lane"] == "second"]
            assert shown["paused"]["reason"] == "carrier asks"
        async with dispatch(cluster, tmp_path / "b", group=group, twin_url=twin.url) as stage:
            free = to_send(20, lane="fast", start=3000)
            await asyncio.to_thread(cluster.produce, free)
            await until_ended(cluster, ids_of(free))
            await until(lambda: stage.scheduler.lanes["second"].backlog(2) > 0)
            await asyncio.sleep(0.5)
            assert posts(twin) == at_pause
            await write(cluster, ControlAction.RESUME)
            await until_ended(cluster, ids_of(sent))
            await until_committed(cluster, group)
        assert posts(twin) == 600
        assert twin.books.duplicates() == []


async def test_a_rate_is_changed_live_and_read_again_by_a_new_process(cluster: Kafka, tmp_path: Path) -> None:
    group = fresh_group(cluster)
    async with Twin(twin_settings()) as twin:
        async with dispatch(cluster, tmp_path / "a", group=group, twin_url=twin.url) as stage:
            await write(cluster, ControlAction.RATE, Aspect.RATE, rate=5.0)
            await until(lambda: stage.scheduler.lanes["second"].pace.bucket.rate == 5.0)
        async with dispatch(cluster, tmp_path / "b", group=group, twin_url=twin.url) as stage:
            await until(lambda: stage._served)
            assert stage.scheduler.lanes["second"].pace.bucket.rate == 5.0
            await write(cluster, ControlAction.CLEAR, Aspect.RATE)
            await until(lambda: stage.scheduler.lanes["second"].pace.bucket.rate == 200.0)
