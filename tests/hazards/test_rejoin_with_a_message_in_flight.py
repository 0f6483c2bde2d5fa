"""A member that joins its group again of its own accord (connectors/kafka/sharing_out.py) while Twilio has a message
and has not answered yet: it is sent once and told once, and its record is committed.

The member is static and has come back, so nobody leads its group; then a partition is added.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka import metrics
from connectors.kafka.topic_partition import TP
from connectors.twilio.http import HttpSettings
from schemas.records import MessageClass, MessageStatus
from schemas.topics import dispatch_topic
from streams.dispatch.stage import DispatchStage
from tests.streams.cluster import own_cluster
from tests.streams.dispatch.cluster import dispatch, fresh_group, lanes, twin_settings, until_committed, until_ended
from tests.streams.dispatch.test_stage import ids_of, to_send
from tests.support.door import Door
from tests.support.kafka import Kafka
from tests.support.waiting import until
from twin.server import Twin

PLACE = TP(dispatch_topic(MessageClass.NORMAL), lanes().partition_of("fast"))
GROWS = dispatch_topic(MessageClass.BULK)

PATIENT = {"session_timeout_s": 30.0, "request_timeout_s": 10.0, "metadata_max_age_s": 0.3}
"""No member is taken for dead here, however slow the machine, and a new partition is seen soon."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(["login"]) as kafka:
        yield kafka


def committed_when_assigned(stage: DispatchStage) -> list[int]:
    """Where the partition of the message stands, at each assignment from now on."""
    stood: list[int] = []

    async def note(partitions: frozenset[TP], generation: int) -> None:
        held = await stage._app.consumer.read_committed()
        stood.append(held[PLACE].offset)

    stage._app.hooks.on_assigned(note)
    return stood


def member(kafka: Kafka, folder: Path, group: str, door: Door, *, waits: bool) -> Any:
    """A stage that waits for answers while its partitions are let go, or does not; then the message is looked for in
    Twilio's list, as soon as its answer counts as lost."""
    answer_s, in_flight_wait_s = (10.0, 30.0) if waits else (3.0, 0.2)
    return dispatch(
        kafka,
        folder,
        group=group,
        twin_url=f"http://127.0.0.1:{door.port}",
        settings={
            "http": HttpSettings(total_timeout_s=answer_s, connect_timeout_s=2.0),
            "settle_s": answer_s + 0.5,
        },
        instance_id="one",
        times=PATIENT | {"in_flight_wait_s": in_flight_wait_s},
    )


@pytest.mark.parametrize("waits", [True, False], ids=["answered while partitions are let go", "answered afterwards"])
async def test_it_is_sent_once_told_once_and_committed(cluster: Kafka, tmp_path: Path, waits: bool) -> None:
    group = fresh_group(cluster)
    async with Twin(twin_settings()) as twin:
        with Door.to(twin.url) as door:
            door.open()
            async with member(cluster, tmp_path / "first life", group, door, waits=waits) as stage:
                await until(lambda: stage._served and stage._app.consumer.flowing)
            async with member(cluster, tmp_path / "second life", group, door, waits=waits) as stage:
                await until(lambda: stage._served and stage._app.consumer.flowing)
                stood, was_asked = committed_when_assigned(stage), metrics.SHARED_OUT_ANEW._value.get()
                door.keep_answers()
                sent = to_send(1)
                await asyncio.to_thread(cluster.produce, sent)
                await until(lambda: list(twin.books.outbound()))
                partitions = len(cluster.end_offsets(GROWS))
                await asyncio.to_thread(cluster.add_partitions, [GROWS], partitions + 1)
                await until(lambda: stage.engine.tenure.closing if waits else stood)
                asked = metrics.SHARED_OUT_ANEW._value.get() - was_asked
                door.let_answers_go()
                told = await until_ended(cluster, ids_of(sent))
                await until_committed(cluster, group)
                await until(lambda: stood)
        end = cluster.end_offsets(PLACE.topic)[PLACE.partition]
        assert asked == 1
        assert stood == [end if waits else end - 1]
        assert [each.status for each in told[ids_of(sent)[0]]] == [MessageStatus.ACCEPTED]
        assert len(list(twin.books.outbound())) == 1
