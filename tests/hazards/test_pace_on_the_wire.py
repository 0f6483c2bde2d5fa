"""The pace of each sender as the receiver sees it: in every window of W seconds no more than rate × W segments and one
message begin to arrive, with mixed sizes, in calm and through restarts and rebalances.

Judged by when each request reached the machine, whenever the twin came to read it. What is allowed is how long a
process may stand still between its last look at the clock and the write, `TOLERANCE_S`. Without pacing the calm test
would be off by its whole 12 s; a sender that forgot its debt at a change of owner by what a message of ten segments
takes, 2.5 s on the slowest lane of the storm.
"""

from __future__ import annotations

import asyncio
import random
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from schemas.records import MessageClass
from tests.streams.cluster import own_cluster
from tests.streams.dispatch.cluster import (
    fleet,
    fleet_address,
    fleet_twin,
    fresh_group,
    outgoing,
    until_committed,
    wall_ms,
)
from tests.streams.dispatch.killing import sent_of, wanted_of, worker
from tests.streams.dispatch.simulation import order
from tests.support.kafka import Kafka, Outgoing
from tests.support.waiting import until
from twin.server import Twin

pytestmark = pytest.mark.timeout(400)

TOLERANCE_S = 0.1
"""Seen on a machine with twice as much to do as it can: 0.02 s."""
CALM_S = 12.0
RATES = {"tenth": 0.1, "half": 0.5, "two": 2.0, "ten": 10.0, "fifty": 50.0, "hundred": 100.0, "five": 500.0}
SLOW = {"half": 0.5, "two": 2.0}
"""Where use is asserted: there a lateness of a busy machine is small against the time between two messages. A scheduler
that waited a token too long each time would use two thirds."""
USED = 0.85
STORM = {"stormy": 4.0, "thirty": 30.0, "forty": 40.0, "sixty": 60.0}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(["login"]) as kafka:
        yield kafka


def write_backlog(
    kafka: Kafka, rates: Mapping[str, float], seconds: float, sizes: tuple[int, ...], seed: int
) -> list[Outgoing]:
    """For each lane what lasts so long, at least three messages, in all classes. Each is decided when it is written:
    one that comes to the log long after its decision is looked up there, which costs more than to send it."""
    written: list[Outgoing] = []

    def noted() -> Iterator[Outgoing]:
        for each in _backlog(rates, seconds, sizes, seed):
            written.append(each)
            yield each

    kafka.produce(noted())
    return written


def _backlog(rates: Mapping[str, float], seconds: float, sizes: tuple[int, ...], seed: int) -> Iterator[Outgoing]:
    rnd, table = random.Random(seed), fleet(rates)
    for number, (lane, rate) in enumerate(rates.items()):
        left, count = rate * seconds, 0
        while left > 0 or count < 3:
            segments = rnd.choice(sizes)
            each = order(
                lane=lane,
                segments=segments,
                message_class=rnd.choice(list(MessageClass)),
                recipient=f"+1415{2_000_000 + 10_000 * number + count}",
                # 67 characters of UCS-2 to a segment; one alone holds 70.
                body="ж" * (60 if segments == 1 else 67 * segments),
                deadline=wall_ms() + 900_000,
            )
            each.sender = fleet_address(number)
            yield outgoing(each, table.partition_of(lane))
            left, count = left - segments, count + 1


def assert_never_over_driven(twin: Twin, rates: Mapping[str, float]) -> None:
    wanted = {fleet_address(number): rate for number, rate in enumerate(rates.values())}
    told = twin.books.pacing(wanted, tolerance_s=TOLERANCE_S)
    assert {row["lane"] for row in told} == set(wanted)
    for row in told:
        assert float(str(row["excess_segments"])) <= 0, row


async def test_no_sender_is_over_driven_and_a_backlogged_one_is_used(cluster: Kafka, tmp_path: Path) -> None:
    group = fresh_group(cluster)
    await asyncio.to_thread(write_backlog, cluster, RATES, CALM_S, (1, 1, 1, 2, 3), seed=1)
    async with Twin(fleet_twin(RATES)) as twin:
        process = worker(cluster, group, twin, tmp_path, instance="one", fleet=RATES)
        try:
            await until(lambda: len(_starts(twin, "two")) >= 3, 90)
            await asyncio.sleep(CALM_S)
        finally:
            await asyncio.to_thread(process.stop)
        assert_never_over_driven(twin, RATES)
        for lane, rate in SLOW.items():
            starts = _starts(twin, lane)
            took = starts[-1][0] - starts[0][0]
            assert sum(cost for _, cost in starts[:-1]) / took >= USED * rate, (lane, starts)


def _starts(twin: Twin, lane: str) -> list[tuple[float, int]]:
    address = fleet_address(list(RATES).index(lane))
    return sorted((each.received, each.cost) for each in twin.books.outbound() if each.lane == address)


async def test_ten_joins_and_leaves_under_load_lose_nothing_double_nothing_and_over_drive_nobody(
    cluster: Kafka, tmp_path: Path
) -> None:
    """Members come and go, the last ones by kill -9, while every lane has a backlog of texts of up to ten segments."""
    group = fresh_group(cluster)
    made = await asyncio.to_thread(write_backlog, cluster, STORM, 32.0, (1, 1, 2, 3, 10), seed=2)
    async with Twin(fleet_twin(STORM)) as twin:
        steady = worker(cluster, group, twin, tmp_path, instance="steady", fleet=STORM, static=False)
        guests = []
        try:
            await until(lambda: len(twin.books.messages) >= 20, 90)
            for number in range(5):
                guest = worker(cluster, group, twin, tmp_path, instance=f"guest{number}", fleet=STORM, static=False)
                guests.append(guest)
                served = tmp_path / f"guest{number}.log"
                await until(lambda: "attempts restored" in served.read_text(), 60, "the guest to be let in")  # noqa: B023
                await asyncio.sleep(0.3)
                if number < 3:
                    assert await asyncio.to_thread(guest.stop) == 0, guest.output()
                else:
                    guest.signal(signal.SIGKILL)
            assert len(twin.books.messages) < len(made), "all of it under load"
            await until_committed(cluster, group, 150)
        finally:
            for process in (steady, *guests):
                await asyncio.to_thread(process.stop)
        assert sent_of(twin) - wanted_of(made) == Counter(), "sent twice"
        assert wanted_of(made) - sent_of(twin) == Counter(), "lost"
        assert_never_over_driven(twin, STORM)
