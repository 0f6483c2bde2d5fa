"""One campaign to people of several carriers, through one lane: each carrier gets what it grants and no more, and those
of the others do not wait behind the one that most messages are for."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.records import Deferral, MessageClass
from streams.dispatch.lanes import Group, Lane, LaneTable
from tests.hazards.test_pace_on_the_wire import TOLERANCE_S
from tests.streams.cluster import COUNTS, own_cluster, records
from tests.streams.dispatch.cluster import dispatch, fleet_address, fleet_twin, fresh_group, outgoing, wall_ms
from tests.streams.dispatch.simulation import order, worst_excess
from tests.support.kafka import Kafka
from tests.support.waiting import until
from twin.server import Twin
from twin.settings import TwinSettings
from twin.ten_dlc_settings import CampaignSettings, CarrierSettings, TenDlcSettings

pytestmark = pytest.mark.timeout(200)

RATE = 60.0
GRANTED = {"att": 20.0, "tmobile": 10.0}
PREFIXES: dict[str | None, str] = {"att": "+1415201", "tmobile": "+1415202", "verizon": "+1415203", None: "+1415204"}
FOR_TMOBILE, FOR_OTHERS = 200, 50
HELD_FOR_TMOBILE = 50
"""Five seconds of what T-Mobile grants: what it may fill of the window, a fetch comes on top."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(["shop"]) as kafka:
        yield kafka


def carriers() -> TwinSettings:
    """A twin whose carriers refuse what exceeds what they grant; a machine with too much to do may bunch messages up on
    their way to the twin's clock, so what left here unevenly is judged by when it reached the machine."""
    ten_dlc = TenDlcSettings(
        carriers=tuple(CarrierSettings(name=name or "none", prefixes=(prefix,)) for name, prefix in PREFIXES.items()),
        campaigns=(CampaignSettings(name="news", senders=(fleet_address(0),), rates=GRANTED),),
        tolerance_s=1.0,
    )
    return fleet_twin({"news": RATE}).model_copy(update={"ten_dlc": ten_dlc})


def campaign() -> LaneTable:
    return LaneTable.of(
        [Lane("news", "main", fleet_address(0), RATE)], [Group("news", 0, carriers=GRANTED)], partitions=COUNTS.dispatch
    )


async def test_each_carrier_gets_what_it_grants_and_no_other_waits_behind_the_one_that_most_are_for(
    cluster: Kafka, tmp_path: Path
) -> None:
    group = fresh_group(cluster)
    made = []
    for carrier, count in (("tmobile", FOR_TMOBILE), *((each, FOR_OTHERS) for each in ("att", "verizon", None))):
        for number in range(count):
            each = order(
                lane="news",
                carrier=carrier,
                message_class=MessageClass.BULK,
                recipient=f"{PREFIXES[carrier]}{number:04d}",
                deadline=wall_ms() + 900_000,
            )
            each.sender = fleet_address(0)
            made.append(outgoing(each, 0))
    await asyncio.to_thread(cluster.produce, made)
    async with Twin(carriers()) as twin:

        def starts(carrier: str | None) -> list[tuple[float, int]]:
            outbound = (each for each in twin.books.outbound() if each.to.startswith(PREFIXES[carrier]))
            return sorted((each.received, each.cost) for each in outbound)

        async with dispatch(cluster, tmp_path, group=group, twin_url=twin.url, table=campaign()):
            others: tuple[str | None, ...] = ("att", "verizon", None)
            await until(lambda: all(len(starts(each)) == FOR_OTHERS for each in others), 60, "all but T-Mobile's")
            before = len(starts("tmobile"))
            await until(lambda: len(starts("tmobile")) >= HELD_FOR_TMOBILE, 60, "what is held for T-Mobile")
        await twin.settled()
        assert {str(row["carrier"]) for row in twin.carriers()} == {"att", "tmobile", "verizon", "none"}
        assert all(row["refused"] == {} for row in twin.carriers()), "no 30022"
        for carrier, granted in GRANTED.items():
            assert worst_excess(starts(carrier), granted) <= granted * TOLERANCE_S
        every = sorted(each for carrier in PREFIXES for each in starts(carrier))
        assert worst_excess(every, RATE) <= RATE * TOLERANCE_S
        # At T-Mobile's pace, not after its backlog, which lay before them: others go six times as fast.
        assert before <= FOR_OTHERS, before
        back = Counter(
            each.request.recipient[:8]
            for each in await asyncio.to_thread(lambda: list(records(cluster, "comms.deferred.1s")))
            if isinstance(each, Deferral) and each.request is not None
        )
    assert set(back) == {PREFIXES["tmobile"]}, "nothing of the others is given back"
    assert back[PREFIXES["tmobile"]] + len(starts("tmobile")) >= FOR_TMOBILE - HELD_FOR_TMOBILE
