"""A pacing group on its way from one partition to another, on a real broker and a twin."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from connectors.kafka.worker import EXIT_MISCONFIGURED
from schemas.reasons import Reason
from schemas.records import Control, ControlAction, ControlSubject, Deferral, Dispatch
from schemas.topics import CONTROL, deferral_topic
from streams.control.places import Place
from streams.control.switches import Aspect, control_key
from streams.dispatch.stage import DispatchStage
from tests.streams.cluster import CODEC, own_cluster, records
from tests.support.kafka import Kafka, Outgoing
from tests.support.waiting import until
from twin.server import Twin

from .cluster import ADDRESSES, dispatch, fresh_group, lanes, twin_settings, until_committed, until_ended, wall_ms
from .killing import worker
from .test_stage import ids_of, to_send

OLD, NEW = 1, 4
BEFORE = {"fast": 0, "second": OLD, "slow": 2}
AFTER = {"fast": 0, "second": NEW, "slow": 2}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(["login"]) as kafka:
        yield kafka


async def begin(kafka: Kafka) -> None:
    record = Control(
        subject_kind=ControlSubject.GROUP,
        subject="second",
        action=ControlAction.MOVE_BEGIN,
        from_partition=OLD,
        to_partition=NEW,
        by="ada",
        at=wall_ms(),
    )
    key = control_key(ControlSubject.GROUP, "second", Aspect.PLACE)
    await asyncio.to_thread(kafka.produce, [Outgoing(CONTROL, CODEC.encode(record), key)])


def at(sent: list[Outgoing], partition: int) -> list[Outgoing]:
    return [each._replace(partition=partition) for each in sent]


async def test_a_group_moves_under_load_in_a_rolling_restart_and_nothing_is_lost_or_sent_twice(
    cluster: Kafka, tmp_path: Path
) -> None:
    group = fresh_group(cluster)
    async with Twin(twin_settings()) as twin, AsyncExitStack() as old, AsyncExitStack() as new:

        def posts() -> list[str]:
            return [message.body for message in twin.books.outbound() if message.from_ == ADDRESSES["second"]]

        async def start(stack: AsyncExitStack, name: str, places: dict[str, int]) -> DispatchStage:
            running = dispatch(cluster, tmp_path / name, group=group, twin_url=twin.url, table=lanes(places))
            return await stack.enter_async_context(running)

        first = at(to_send(600, lane="second"), OLD)
        await asyncio.to_thread(cluster.produce, first)
        before = await start(old, "old", BEFORE)
        await until(lambda: len(posts()) > 50)
        await begin(cluster)
        await until(lambda: before.moving.place("second") == Place(OLD, NEW))
        # Policy has been told first: it writes to the new place.
        second = at(to_send(100, lane="second", start=2000), NEW)
        await asyncio.to_thread(cluster.produce, second)
        after = await start(new, "new", AFTER)
        await old.aclose()
        await until_ended(cluster, ids_of(first + second))
        await until(lambda: after.moving.place("second") == Place(NEW))
        late = {each.body for each in map(_order, second)}
        sent = posts()
        assert len(sent) == 700
        assert twin.books.duplicates() == []
        assert set(sent[600:]) == late, "the new place is opened once the old one is empty"
        # Who has not heard of it yet.
        stray = at(to_send(5, lane="second", start=4000), OLD)
        await asyncio.to_thread(cluster.produce, stray)
        await until_committed(cluster, group)
        assert len(posts()) == 700
        back = [each for each in records(cluster, deferral_topic("1s")) if isinstance(each, Deferral)]
        assert {(each.message_id, each.reason) for each in back} == {
            (message_id, Reason.LANE_MOVED.value) for message_id in ids_of(stray)
        }


async def test_a_process_refuses_a_number_that_was_changed_without_a_move(cluster: Kafka, tmp_path: Path) -> None:
    group = fresh_group(cluster)
    async with Twin(twin_settings()) as twin:
        async with dispatch(cluster, tmp_path / "a", group=group, twin_url=twin.url, table=lanes(AFTER)) as stage:
            await until(lambda: stage._served and not stage.moving.unknown())
        process = worker(cluster, group, twin, tmp_path, instance="b", lanes={**AFTER, "fast": 3})
        try:
            # As for any other mistake in the configuration: who supervises it need not start it again.
            assert await asyncio.to_thread(process.wait, 60) == EXIT_MISCONFIGURED
        finally:
            await asyncio.to_thread(process.stop)
    told = process.log.read_text()
    assert "group fast lies on partition 0, and 3 is configured; run `commlayer lanes move fast 3` first" in told


def _order(each: Outgoing) -> Dispatch:
    record = CODEC.decode(each.value or b"")
    assert isinstance(record, Dispatch)
    return record
