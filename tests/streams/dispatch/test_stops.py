"""A STOP against messages that are on their way, on a real broker: none is POSTed later than a second after Kafka has
the STOP, wherever the message waits, and while it is unknown who stopped only codes go."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Message

from connectors.kafka.publisher import DurablePublisher
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
from twin.pacing import worst_window
from twin.server import Twin
from twin.settings import FaultSettings, RequestFault

from .cluster import ADDRESSES, RATES, dispatch, fresh_group, lanes, outgoing, twin_settings, until_ended, wall_ms
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


class StallingPublisher(DurablePublisher):
    """Gives Kafka nothing while it is stalled, and everything in its order afterwards."""

    stalled = False
    _waiting: list[tuple[tuple[Any, ...], dict[str, Any], asyncio.Future[Any]]]

    def publish(self, *args: Any, **more: Any) -> Any:
        if not self.stalled:
            return super().publish(*args, **more)
        promised: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting.append((args, more, promised))
        return promised

    def stall(self) -> None:
        self.stalled, self._waiting = True, []

    def go_on(self) -> None:
        self.stalled = False
        for args, more, promised in self._waiting:
            super().publish(*args, **more).add_done_callback(partial(_pass_on, promised))


def _pass_on(promised: asyncio.Future[Any], done: asyncio.Future[Any]) -> None:
    promised.set_result(done.result())


@pytest.mark.parametrize("stall_s", [2.5, pytest.param(15.0, marks=pytest.mark.long)])
async def test_who_writes_stop_while_dispatch_cannot_write_gets_nothing_afterwards(
    cluster: Kafka, tmp_path: Path, stall_s: float
) -> None:
    """INTENTs are on their way to Kafka when it stalls, so that their messages have all but started."""
    people = [f"+1415{600 + int(stall_s)}{number:04d}" for number in range(1_200)]
    orders = [text(each, "second", body=f"{stall_s} to {each}") for each in people]
    stopped = set(people[::2])
    group = fresh_group(cluster)
    await asyncio.to_thread(put, cluster, orders)
    async with (
        Twin(twin_settings()) as twin,
        dispatch(cluster, tmp_path, group=group, twin_url=twin.url, make_publisher=StallingPublisher) as stage,
    ):
        publisher = stage._publisher
        assert isinstance(publisher, StallingPublisher)
        await until(lambda: len(twin.books.messages) >= 100, 60)
        publisher.stall()
        await until(lambda: stage.scheduler._planner.preparing, 30, "an INTENT that waits")
        await asyncio.sleep(stall_s)
        sent, held = len(twin.books.messages), stage.changes.held
        await asyncio.to_thread(cluster.produce, [stop(each, "second") for each in stopped])
        told_at = time.time()
        await until(lambda: stage.changes.held >= held + len(stopped), 30, "dispatch to have read of the stops")
        assert len(twin.books.messages) == sent, "nothing is sent that is not written down"
        publisher.go_on()
        told = await until_ended(cluster, [each.message_id for each in orders])
        late = [each.to for each in twin.books.outbound() if each.accepted > told_at and each.to in stopped]
        starts = [(each.received, each.cost) for each in twin.books.outbound()]
    assert late == []
    denied = sum(told[each.message_id][0].status is MessageStatus.DENIED for each in orders)
    assert denied + len(starts) == len(orders)
    assert denied >= 400
    worst = worst_window(starts, RATES["second"], tolerance_s=0.5)
    assert worst is not None
    assert worst.segments <= 0, f"a burst after the stall: {worst}"


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
