"""The broker is killed and stalled while dispatch sends: nothing is lost, nothing is sent twice, and what waited
is not sent in a burst or too late afterwards."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from schemas.records import MessageStatus
from schemas.topics import catalogue
from tests.streams.cluster import COUNTS
from tests.streams.dispatch.cluster import (
    endings,
    fleet,
    fleet_address,
    fleet_twin,
    fresh_group,
    outgoing,
    until_committed,
    wall_ms,
)
from tests.streams.dispatch.killing import ids_of, sent_of, wanted_of, worker
from tests.streams.dispatch.simulation import order
from tests.support.kafka import Kafka, Outgoing
from tests.support.kafka_broker import Broker
from tests.support.waiting import until
from twin.pacing import worst_window
from twin.server import Twin

pytestmark = pytest.mark.timeout(400)

RATES = {"fast": 150.0, "steady": 30.0, "patient": 0.2}
STALL_S = 15.0
TOLERANCE_S = 0.1
"""What a process may stand still between its last look at the clock and the write, on a machine with twice as much to
do as it can. The twin tells when requests came, not when it read them."""
LEASE_S = 4.0
"""Of the workers here: session 6 s, requests up to 2 s."""


def texts(lane: str, count: int, start: int, *, seconds: float = 600.0) -> list[Outgoing]:
    made = []
    for number in range(start, start + count):
        each = order(lane=lane, recipient=f"+1415{2_000_000 + number}", body=f"text {number}")
        each.sender = fleet_address(list(RATES).index(lane))
        each.deadline = wall_ms() + int(seconds * 1000)
        made.append(outgoing(each, fleet(RATES).partition_of(lane)))
    return made


def cluster_of(broker: Broker) -> Kafka:
    kafka = Kafka(broker.bootstrap)
    kafka.create_topics({topic.name: COUNTS.of(topic.count) for topic in catalogue(["login"])})
    return kafka


async def test_a_broker_that_is_killed_and_one_that_stalls_cost_nothing_and_cause_no_burst(
    own_kafka: Broker, tmp_path: Path
) -> None:
    kafka = cluster_of(own_kafka)
    group = fresh_group(kafka)
    made = texts("fast", 2_000, 0) + texts("steady", 900, 5_000)
    await asyncio.to_thread(kafka.produce, made)
    async with Twin(fleet_twin(RATES)) as twin:
        process = worker(kafka, group, twin, tmp_path, instance="one", fleet=RATES)
        try:
            await until(lambda: len(twin.books.messages) >= 300, 90)
            await asyncio.to_thread(own_kafka.kill)
            await asyncio.to_thread(own_kafka.restart)
            again = len(twin.books.messages)
            await until(lambda: len(twin.books.messages) >= again + 300, 90)

            # One starts at once, the next is due 5 s later, when nothing may be sent: they expire in the stall.
            brief = texts("patient", 6, 9_000, seconds=STALL_S - 3)
            await asyncio.to_thread(kafka.produce, brief)
            await until(lambda: _of(twin, brief), 30)
            own_kafka.pause()
            await asyncio.sleep(LEASE_S + 1)
            fenced = len(twin.books.messages)
            await asyncio.sleep(STALL_S - LEASE_S - 1)
            assert len(twin.books.messages) == fenced, "without a lease nothing is sent"
            own_kafka.resume()
            await until_committed(kafka, group, 150)
        finally:
            code = await asyncio.to_thread(process.stop)
        assert code == 0, process.output()
        assert sent_of(twin) - wanted_of(brief) == wanted_of(made)
        in_time = _of(twin, brief)
        told = endings(kafka, ids_of(made + brief))
        starts = [(one.received, one.cost) for one in twin.books.outbound() if one.lane == fleet_address(1)]
    ends = Counter(next(iter(events)).status for events in told.values())
    assert ends == {MessageStatus.ACCEPTED: len(made) + in_time, MessageStatus.EXPIRED: len(brief) - in_time}
    assert in_time <= 2
    worst = worst_window(starts, RATES["steady"], tolerance_s=TOLERANCE_S)
    assert worst is not None
    assert worst.segments <= 0, f"a burst after the stall, which would be of {STALL_S} s: {worst}"


def _of(twin: Twin, made: list[Outgoing]) -> int:
    return sum((sent_of(twin) & wanted_of(made)).values())
