"""A campaign keeps a lane busy and urgent messages come: none waits behind bulk, a rush of them leaves bulk its share.

Judged by who came before whom at the twin, since how long that takes depends on the machine; `bench/priority.py` tells
the times.
"""

from __future__ import annotations

from pathlib import Path

from bench.lanes import broker_with
from bench.priority import measure
from streams.dispatch.shares import DEFAULT_SHARES

BULK = 2_500
SECONDS = 5.0
OVERTAKEN_BY = 200
"""Bulk that goes on while an urgent message is on its way through Kafka: two seconds of the lane. Dispatch holds 500
bulk messages, all due earlier, and behind these an urgent one would be without its class."""


async def test_no_urgent_message_waits_behind_bulk_and_a_rush_leaves_bulk_its_share(tmp_path: Path) -> None:
    with broker_with(8) as kafka:
        figures = await measure(kafka, tmp_path, bulk=BULK, seconds=SECONDS)
    assert len(figures.overtaken_by) == int(SECONDS * 5)
    assert max(figures.overtaken_by) <= OVERTAKEN_BY, figures
    share = DEFAULT_SHARES[-1]
    assert share * 0.9 <= figures.bulk_in_rush <= share * 2, figures
