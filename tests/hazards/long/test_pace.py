"""The pace of each sender on the wire for minutes, at rates from 0.1 to 500 segments a second: a backlogged lane is
used to 98 %, and no window is over-driven, neither in calm nor through restarts, kills and rebalances."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hazards.test_pace_on_the_wire import RATES, assert_never_over_driven, write_backlog
from tests.streams.cluster import own_cluster
from tests.streams.dispatch.cluster import fleet_address, fleet_twin, fresh_group
from tests.streams.dispatch.killing import worker
from tests.support.kafka import Kafka
from tests.support.processes import Child
from tests.support.waiting import until
from twin.server import Twin

from .conftest import Report

CALM_S = 120.0
DISTURBED_S = 120.0
USED = 0.98

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(["login"]) as kafka:
        yield kafka


async def test_backlogged_lanes_are_used_and_never_over_driven(cluster: Kafka, tmp_path: Path, report: Report) -> None:
    group = fresh_group(cluster)
    seconds = CALM_S + DISTURBED_S + 60.0
    made = await asyncio.to_thread(write_backlog, cluster, RATES, seconds, (1, 1, 1, 2, 3), seed=3)
    async with Twin(fleet_twin(RATES)) as twin:

        def start(name: str, *, static: bool = True) -> None:
            processes[name] = worker(cluster, group, twin, tmp_path, instance=name, static=static, fleet=RATES)

        processes: dict[str, Child] = {}
        try:
            start("one")
            await until(lambda: _starts(twin, "tenth"), 90)
            await asyncio.sleep(CALM_S)
            used = {lane: use(_starts(twin, lane), rate) for lane, rate in RATES.items()}
            report("used: " + ", ".join(f"{RATES[lane]:g}/s {share:.2%}" for lane, share in used.items()))
            for turn in range(5):
                await asyncio.sleep(DISTURBED_S / 15)
                await asyncio.to_thread(processes["one"].kill if turn % 2 else processes["one"].stop)
                start("one")
                await asyncio.sleep(DISTURBED_S / 15)
                start("guest", static=False)
                log = tmp_path / "guest.log"
                await until(lambda: log.read_text().count("attempts restored") > turn, 90)  # noqa: B023
                await asyncio.sleep(DISTURBED_S / 15)
                assert await asyncio.to_thread(processes["guest"].stop) == 0, processes["guest"].output()
        finally:
            for process in processes.values():
                await asyncio.to_thread(process.kill)
        assert len(twin.books.messages) < len(made), "there was always something to send"
        assert_never_over_driven(twin, RATES)
        report(f"{len(twin.books.messages):,} messages through 5 restarts and 5 joins: no window over-driven")
    assert {lane: share for lane, share in used.items() if share < USED} == {}


def use(starts: list[tuple[float, int]], rate: float) -> float:
    """What was sent between the first and the last start, as a part of what the rate allows. The last message's own
    time lies after it."""
    return sum(cost for _, cost in starts[:-1]) / (starts[-1][0] - starts[0][0]) / rate


def _starts(twin: Twin, lane: str) -> list[tuple[float, int]]:
    address = fleet_address(list(RATES).index(lane))
    return sorted((each.received, each.cost) for each in twin.books.outbound() if each.lane == address)
