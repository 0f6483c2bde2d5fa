"""Records that nobody can read, in comms.consent and in what policy remembers, and a wheel record that a crash doubled:
with the whole stage on a real broker, one person at most feels it, and everything goes on."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka.partitioning import partition_of
from connectors.kafka.state.envelope import headers_of
from schemas import ids
from schemas.reasons import Reason
from schemas.records import DeadLetter, Deferral, Dispatch, LifecycleEvent, MessageClass, MessageStatus, Stage
from schemas.topics import (
    CONSENT,
    DEAD,
    LIFECYCLE,
    POLICY_STATE,
    deferral_topic,
    dispatch_topic,
    request_topic,
)
from tests.streams.cluster import CODEC, COUNTS, own_cluster, until_committed
from tests.support.kafka import Kafka, Outgoing

from .cluster import ask, found, neighbours, ours, person, policy, wall_ms
from .installation import HOUR, config, request

NORMAL = dispatch_topic(MessageClass.NORMAL)
SHOP: dict[str, Any] = {"app": "shop", "category": "service"}
POISON = b"\xff not Avro"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(config().apps) as kafka:
        yield kafka


def remembered(number: int, kind: bytes) -> Outgoing:
    """An entry of the state that was written as policy writes, and whose value nobody can read."""
    key = person(number).encode()
    home = partition_of(key, COUNTS.recipient)
    return Outgoing(POLICY_STATE, POISON, key + kind, home, headers_of(0, ()))


async def test_poison_stops_one_person_at_most_and_nobody_is_wedged(cluster: Kafka, tmp_path: Path) -> None:
    group = cluster.unique("policy")
    lost, damaged, unread, *others = neighbours(8000, 12)  # all of one partition
    home = partition_of(person(lost).encode(), COUNTS.recipient)
    known = ids.message_id_by_key("shop", person(damaged), "k").encode()
    poison = [
        remembered(lost, b"\x00p"),
        remembered(damaged, b"\x00d" + known),
        Outgoing(CONSENT, POISON, person(unread).encode(), home),
        Outgoing(CONSENT, POISON, b"nobody", home),
        Outgoing(CONSENT, POISON, None, home),
        Outgoing(CONSENT, None, person(others[0]).encode(), home)._replace(key=None),
    ]
    asked = [ask(number, **SHOP) for number in (lost, unread, damaged, *others)]
    await asyncio.to_thread(cluster.produce, [*poison, ask(damaged, idempotency_key="k", **SHOP), *asked])
    async with policy(cluster, tmp_path, group=group):
        who = (lost, damaged, unread, *others)
        told = await found(cluster, LIFECYCLE, LifecycleEvent, ours(*who), len(who) + 1)
        for topic in (request_topic("shop"), CONSENT):
            await until_committed(cluster, group, topic)
        letters = await found(cluster, DEAD, DeadLetter, lambda letter: letter.source_topic == CONSENT, 4)
    assert {letter.reason for letter in letters} == {Reason.UNDECODABLE}
    denied = {(event.recipient, event.reason) for event in told if event.status is MessageStatus.DENIED}
    by_person = dict(denied)
    assert by_person.keys() == {person(lost), person(damaged), person(unread)}
    assert by_person[person(lost)] == by_person[person(unread)] == Reason.OPTED_OUT
    admitted = [event.recipient for event in told if event.status is MessageStatus.ADMITTED]
    assert sorted(admitted, key=str) == sorted(map(person, (damaged, *others))), "also what else the damaged one gets"


async def test_a_wheel_record_that_a_crash_doubled_is_decided_once(cluster: Kafka, tmp_path: Path) -> None:
    group, people = cluster.unique("policy"), range(8500, 8520)
    doubled = []
    for number in people:
        deferral = Deferral(
            message_id=ids.message_id_by_key("shop", person(number), "k"),
            round=1,
            app="shop",
            due_at=wall_ms() + 500,
            reason="schedule",
            by=Stage.POLICY,
            request=request(recipient=person(number), category="service"),
            origin=f"comms.requests.shop:0:{number}",
            deadline=wall_ms() + HOUR,
            at=wall_ms(),
        )
        record = Outgoing(deferral_topic("1s"), CODEC.encode(deferral), person(number).encode())
        doubled += [record, record]
    await asyncio.to_thread(cluster.produce, doubled)
    async with policy(cluster, tmp_path, group=group):
        await until_committed(cluster, group, deferral_topic("1s"))
        sent = await found(cluster, NORMAL, Dispatch, ours(*people), 2 * len(people))
    for number in people:
        first, second = (each for each in sent if each.recipient == person(number))
        assert (first.again, second.again) == (False, True)
        assert replace(first, again=True) == second
