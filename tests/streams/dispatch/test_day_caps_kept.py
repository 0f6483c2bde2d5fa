"""A brand's day at a carrier on a real broker: the next owner counts on, what Twilio says of it is obeyed, and an
operator who opens it again."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.reasons import Reason
from schemas.records import Control, Deferral, Dispatch
from schemas.topics import ATTEMPTS, CONTROL
from streams.control.day_caps import day_cap_reached
from streams.control.days import Days
from streams.control.trouble import trouble_key
from streams.dispatch.lanes import Budget, DayCap, Group, Lane, LaneTable
from tests.streams.cluster import CODEC, COUNTS, own_cluster, records
from tests.streams.dispatch.cluster import ADDRESSES, dispatch, fresh_group, outgoing, twin_settings, wall_ms
from tests.streams.dispatch.simulation import order
from tests.support.kafka import Kafka, Outgoing
from tests.support.waiting import until
from twin.server import Twin

pytestmark = pytest.mark.timeout(200)

PER_DAY = 10


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(["shop"]) as kafka:
        yield kafka


def brand() -> LaneTable:
    return LaneTable.of(
        [Lane("fast", "main", ADDRESSES["fast"], 2000.0)],
        [Group("fast", 0, budget="acme")],
        [Budget("acme", 2000.0, {"tmobile": DayCap(PER_DAY)})],
        partitions=COUNTS.dispatch,
    )


def texts(carrier: str, count: int) -> list[Outgoing]:
    made = []
    for _ in range(count):
        each: Dispatch = order(lane="fast", carrier=carrier, deadline=wall_ms() + 3 * 86_400_000)
        each.sender = ADDRESSES["fast"]
        made.append(outgoing(each, 0))
    return made


def days(kafka: Kafka) -> Days:
    said = Days()
    for each in kafka.consume_all(CONTROL):
        record = CODEC.decode(each.value or b"")
        assert isinstance(record, Control)
        said.take(each.key or b"", record)
    return said


def waiting(kafka: Kafka) -> list[Deferral]:
    return [each for each in records(kafka, "comms.deferred.1s") if isinstance(each, Deferral)]


async def test_a_new_owner_counts_on_and_nobody_sends_what_twilio_says_the_carrier_will_not_take(
    cluster: Kafka, tmp_path: Path
) -> None:
    group = fresh_group(cluster)
    async with Twin(twin_settings()) as twin:
        await asyncio.to_thread(cluster.produce, texts("tmobile", PER_DAY - 3))
        async with dispatch(cluster, tmp_path / "one", group=group, twin_url=twin.url, table=brand()):
            await until(lambda: len(twin.books.messages) == PER_DAY - 3, 60, "what the day has room for")
            told = [each for each in records(cluster, CONTROL) if isinstance(each, Control) and each.used]
            while not told or told[-1].used != PER_DAY - 3:
                await asyncio.sleep(0.2)
                told = [each for each in records(cluster, CONTROL) if isinstance(each, Control) and each.used]
        await asyncio.to_thread(cluster.produce, [*texts("tmobile", 5), *texts("att", 2)])
        async with dispatch(cluster, tmp_path / "two", group=group, twin_url=twin.url, table=brand()) as stage:
            await until(lambda: len(twin.books.messages) == PER_DAY + 2, 60, "what is left of the day, and all others")
            await until(lambda: len(waiting(cluster)) == 2, 60, "the rest on the wheel")
            assert {each.reason for each in waiting(cluster)} == {Reason.DAY_CAP_REACHED}
            [state] = stage.view.show()["day_caps"]
            assert (state["used"], state["per_day"], state["said_by_twilio"]) == (PER_DAY, PER_DAY, False)
            said = day_cap_reached(("acme", "att"), code=30027, why="reached", fix="", at=wall_ms())
            await asyncio.to_thread(
                cluster.produce, [Outgoing(CONTROL, CODEC.encode(said), trouble_key(said), partition=0)]
            )
            of_att = order(lane="fast", carrier="att")
            heard = lambda: stage.day_caps.waits_until(of_att, 1, wall_ms()) is not None  # noqa: E731
            await until(heard, 60, "what Twilio says")
            await asyncio.to_thread(cluster.produce, texts("att", 3))
            await until(lambda: len(waiting(cluster)) == 5, 60, "what Twilio says nobody will take")
        assert len(twin.books.messages) == PER_DAY + 2
        for carrier in ("att", "tmobile"):
            key, opened = days(cluster).reopening(("acme", carrier), used=0, by="ada", reason=None, at=wall_ms())
            await asyncio.to_thread(cluster.produce, [Outgoing(CONTROL, CODEC.encode(opened), key, partition=0)])
        await asyncio.to_thread(cluster.produce, [*texts("tmobile", PER_DAY + 1), *texts("att", 2)])
        async with dispatch(cluster, tmp_path / "three", group=group, twin_url=twin.url, table=brand()) as stage:
            await until(lambda: len(twin.books.messages) == 2 * PER_DAY + 4, 60, "another day of one, all of the other")
            await until(lambda: len(waiting(cluster)) == 6, 60, "what another day has no room for")
            [state] = stage.view.show()["day_caps"]
            assert (state["used"], state["reopened_at"]) == (PER_DAY, opened.at)
        assert len(twin.books.messages) == 2 * PER_DAY + 4
    assert all(each.carrier in ("tmobile", "att") for each in records(cluster, ATTEMPTS))  # type: ignore[attr-defined]
