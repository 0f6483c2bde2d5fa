"""Urgent messages at a lane with 100,000 and with 1,000,000 bulk messages waiting: none waits behind bulk, bulk keeps
its share, and memory depends on neither."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import priority
from bench.lanes import broker_with
from streams.dispatch.shares import DEFAULT_SHARES

from .conftest import Report

SECONDS = 90.0
GROWTH_MB = 25.0
"""From the first to the last of those seconds: what Python's and librdkafka's allocators take their time for. A message
that is remembered costs 2 kB: the whole backlog 200 MB and 2 GB, what is sent in the time 20 MB."""
LARGEST_MB = 220.0

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]


@pytest.mark.parametrize("bulk", [100_000, 1_000_000])
async def test_urgent_messages_pass_by_a_deep_backlog_and_memory_is_flat(
    bulk: int, tmp_path: Path, report: Report
) -> None:
    with broker_with(8) as kafka:
        figures = await priority.measure(kafka, tmp_path, bulk=bulk, seconds=SECONDS)
    report(priority.report(bulk, figures))
    assert len(figures.overtaken_by) == int(SECONDS * priority.CRITICAL_PER_S)
    assert max(figures.overtaken_by) <= 200, figures
    share = DEFAULT_SHARES[-1]
    assert share * 0.9 <= figures.bulk_in_rush <= share * 2, figures
    settled = figures.rss_mb[10:]
    assert max(settled) - settled[0] <= GROWTH_MB, figures.rss_mb
    assert max(settled) <= LARGEST_MB, figures.rss_mb
