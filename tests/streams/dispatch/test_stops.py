"""A STOP against messages that are on their way, on a real broker: none is POSTed later than a second after Kafka has
the STOP, wherever the message waits, and while it is unknown who stopped only codes go."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from schemas.reasons import Reason
from schemas.records import (
    Consent,
    ConsentChange,
    ConsentScope,
    ConsentSource,
    Dispatch,
    MessageStatus,
)
from schemas.topics import CONSENT
from streams.dispatch.changes import FRESH_S
from tests.streams.cluster import CODEC, own_cluster
from tests.support.kafka import Kafka, Outgoing
from tests.support.waiting import until
from twin.server import Twin
from twin.settings import FaultSettings, RequestFault

from .cluster import ADDRESSES, dispatch, fresh_group, lanes, outgoing, twin_settings, until_ended, wall_ms
from .simulation import order

HELD_UP_S = 30.0
"""At most: a test that fails meanwhile must still be able to stop the tail."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(["login"]) as kafka:
        yield kafka


def text(recipient: str, lane: str, **changes: Any) -> Dispatch:
    made = order(lane=lane, recipient=recipient, body=f"to {recipient}", deadline=wall_ms() + 600_000)
    made.sender = ADDRESSES[lane]
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def stop(recipient: str, lane: str) -> Outgoing:
    record = Consent(
        consent_id=recipient,
        recipient=recipient,
        change=ConsentChange.OPT_OUT,
        scope=ConsentScope.SENDER,
        scope_value=ADDRESSES[lane],
        source=ConsentSource.KEYWORD,
        at=wall_ms(),
    )
    return Outgoing(CONSENT, CODEC.encode(record), recipient.encode())


def put(kafka: Kafka, orders: list[Dispatch]) -> None:
    kafka.produce([outgoing(each, lanes().partition_of(each.lane)) for each in orders])


async def test_a_stop_while_queued_in_a_slow_lane_wins(cluster: Kafka, tmp_path: Path) -> None:
    people = [f"+1415551{number:04d}" for number in range(12)]
    orders = [text(each, "slow") for each in people]
    group = fresh_group(cluster)
    await asyncio.to_thread(put, cluster, orders)
    async with Twin(twin_settings()) as twin, dispatch(cluster, tmp_path, group=group, twin_url=twin.url):
        await until(lambda: len(twin.books.messages) >= 2, 60)
        await asyncio.to_thread(cluster.produce, [stop(each, "slow") for each in people])
        acknowledged = time.time()
        told = await until_ended(cluster, [each.message_id for each in orders])
        late = [each for each in twin.books.outbound() if each.accepted > acknowledged + FRESH_S]
        sent = {each.to for each in twin.books.outbound()}
    assert late == []
    assert len(sent) < len(people)
    for each in orders:
        [event] = told[each.message_id]
        wanted = (MessageStatus.ACCEPTED, None) if each.recipient in sent else (MessageStatus.DENIED, Reason.OPTED_OUT)
        assert (event.status, event.reason) == wanted


async def test_a_stop_while_a_message_is_being_tried_again_wins(cluster: Kafka, tmp_path: Path) -> None:
    made = text("+14155520001", "fast")
    always = FaultSettings(requests=(RequestFault(kind="throttle", share=1.0),))
    group = fresh_group(cluster)
    await asyncio.to_thread(put, cluster, [made])
    async with (
        Twin(twin_settings(faults=always)) as twin,
        dispatch(cluster, tmp_path, group=group, twin_url=twin.url) as stage,
    ):
        await until(lambda: any(job.attempt > 1 for job in stage.engine.tenure.held.values()), 60)
        await asyncio.to_thread(cluster.produce, [stop(made.recipient, "fast")])
        told = await until_ended(cluster, [made.message_id])
        assert list(twin.books.outbound()) == []
    [event] = told[made.message_id]
    assert (event.status, event.reason) == (MessageStatus.DENIED, Reason.OPTED_OUT)


async def test_with_a_tail_that_stands_still_marketing_waits_and_codes_go(cluster: Kafka, tmp_path: Path) -> None:
    people = [f"+1415553{number:04d}" for number in range(6)]
    group = fresh_group(cluster)
    async with Twin(twin_settings()) as twin, dispatch(cluster, tmp_path, group=group, twin_url=twin.url) as stage:
        await until(lambda: stage.tail.age_s() < FRESH_S, 60)
        taking = threading.Event()
        take = stage.tail._take

        def held_up(record: Message) -> None:
            taking.wait(HELD_UP_S)
            take(record)

        stage.tail._take = held_up
        await asyncio.to_thread(cluster.produce, [stop(people[0], "fast")])
        await until(lambda: stage.tail.age_s() > FRESH_S, 60)
        offers = [text(each, "fast", message_intent="marketing") for each in people]
        codes = [text(each, "fast", message_intent="otp", body=f"code {each}") for each in people[1:]]
        await asyncio.to_thread(put, cluster, offers + codes)
        await until_ended(cluster, [each.message_id for each in codes])
        await asyncio.sleep(0.5)
        assert all(each.body.startswith("code") for each in twin.books.outbound())
        assert not stage._tail_health().ok
        assert stage._live().ok
        taking.set()
        told = await until_ended(cluster, [each.message_id for each in offers])
    assert [told[each.message_id][0].status for each in offers] == [MessageStatus.DENIED] + [MessageStatus.ACCEPTED] * 5
