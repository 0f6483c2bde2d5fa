"""kill -9 at every named step of the send loop, one after the other, on one backlog: nothing is lost, nothing is sent
twice, by the twin's own books."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas.records import Deferral, Dispatch, LifecycleEvent, MessageStatus
from schemas.topics import deferral_topic
from tests.streams.cluster import CODEC, own_cluster, records
from tests.support.kafka import Kafka, Outgoing
from tests.support.waiting import until
from twin.server import Twin
from twin.settings import FaultSettings, RequestFault

from .cluster import endings, fresh_group, twin_settings, until_committed, wall_ms
from .fault_points import STEPS
from .killing import doubts, ids_of, orders, sent_of, wanted_of, worker

MESSAGES = 2_400
QUICK: dict[str, Any] = {"lists_per_s": 50.0}
"""Eighteen deaths in a row leave more people in doubt than ten lists a second clear in the time given below."""
TROUBLE = FaultSettings(
    requests=(
        RequestFault(kind="reset_after", share=0.004),
        RequestFault(kind="error_before", share=0.004),
        RequestFault(kind="throttle", share=0.05),
        RequestFault(kind="latency", delay_s=(0.01, 0.06)),
    ),
    listing_lag_s=(0.0, 0.5),
)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(["login"]) as kafka:
        yield kafka


def some_in_quiet_hours(made: list[Outgoing]) -> tuple[list[Outgoing], set[str]]:
    """The same messages, but every tenth one's recipient sleeps: it goes back to the wheel, after its INTENT."""
    changed, sleeping = [], set()
    for number, each in enumerate(made):
        if number % 10 == 7:
            asked = CODEC.decode(each.value or b"")
            assert isinstance(asked, Dispatch)
            asked.allowed_until = wall_ms() - 1
            sleeping.add(asked.message_id)
            each = each._replace(value=CODEC.encode(asked))
        changed.append(each)
    return changed, sleeping


async def test_killed_at_every_step_of_the_send_loop_it_loses_nothing_and_sends_nothing_twice(
    cluster: Kafka, tmp_path: Path
) -> None:
    group = fresh_group(cluster)
    made, sleeping = some_in_quiet_hours(orders(MESSAGES))
    await asyncio.to_thread(cluster.produce, made)
    async with Twin(twin_settings(faults=TROUBLE)) as twin:
        for step, nth in STEPS.items():
            process = worker(cluster, group, twin, tmp_path, instance="one", die_at=[step, nth], **QUICK)
            try:
                await until(lambda: process.returncode is not None, 60, f"never came to {step!r}")  # noqa: B023
                assert process.returncode == -signal.SIGKILL, process.output()
            finally:
                await asyncio.to_thread(process.kill)
        process = worker(cluster, group, twin, tmp_path, instance="one", **QUICK)
        try:
            await until_committed(cluster, group, 120)
        finally:
            code = await asyncio.to_thread(process.stop)
        assert code == 0, process.output()
        awake = [each for each in made if (each.key or b"").decode() not in sleeping]
        sent, wanted = sent_of(twin), wanted_of(awake)
        sids = {message.sid for message in twin.books.outbound()}
    assert sent - wanted == {}, "sent more often than asked for"
    assert wanted - sent == {}, "lost"
    told = endings(cluster, ids_of(made))
    back = {message_id: told.pop(message_id) for message_id in sleeping if message_id in told}
    assert_each_has_one_end(told, ids_of(awake), sids)
    assert back.keys() == sleeping
    assert {event.status for events in back.values() for event in events} == {MessageStatus.DEFERRED}
    assert_each_is_back_on_the_wheel(cluster, sleeping)
    resolved, left_open = doubts(cluster, ids_of(made))
    assert left_open == 0
    assert resolved >= 5, "the kills left doubts, and successors resolved them"


def assert_each_has_one_end(told: dict[str, list[LifecycleEvent]], ids: list[str], sids: set[str]) -> None:
    assert told.keys() == set(ids)
    assert {event.status for events in told.values() for event in events} == {MessageStatus.ACCEPTED}
    assert all(len({event.event_id for event in events}) == 1 for events in told.values())
    assert {event.sid for events in told.values() for event in events} == sids


def assert_each_is_back_on_the_wheel(kafka: Kafka, ids: set[str]) -> None:
    back: defaultdict[str, set[tuple[int, str]]] = defaultdict(set)
    for record in records(kafka, deferral_topic("1s")):
        if isinstance(record, Deferral) and record.message_id in ids:
            back[record.message_id].add((record.round, record.reason))
    assert back.keys() == ids
    assert all(len(ways) == 1 and next(iter(ways))[0] == 1 for ways in back.values()), "one round on, told alike"
