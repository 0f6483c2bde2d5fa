from __future__ import annotations

import random

import pytest
from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest

from connectors.tallies import Spreads, Tallies


def exported(registry: CollectorRegistry) -> str:
    """Without the moments of creation, which ours have none of."""
    return "\n".join(line for line in generate_latest(registry).decode().splitlines() if "_created" not in line)


def test_tallies_are_exported_as_counters_are() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    for count in (
        Tallies("sent", "What was sent.", ["lane", "class"], registry=ours),
        Counter("sent", "What was sent.", ["lane", "class"], registry=theirs),
    ):
        count.labels("a", "bulk").inc()
        count.labels("a", "bulk").inc(2.5)
        count.labels('"b"', "high").inc()

    assert exported(ours) == exported(theirs)


def test_spreads_are_exported_as_histograms_are() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    amounts = [0.0, 0.1, 0.5, 0.50001, 2, 2.5, 99, *(random.Random(1).uniform(0, 4) for _ in range(100))]
    for spread in (
        Spreads("took", "How long it took.", ["lane"], buckets=(0.1, 0.5, 2), registry=ours),
        Histogram("took", "How long it took.", ["lane"], buckets=(0.1, 0.5, 2), registry=theirs),
    ):
        for amount in amounts:
            spread.labels("a").observe(amount)
        spread.labels("b").observe(0.5)

    assert exported(ours) == exported(theirs)


def test_a_name_is_taken_once() -> None:
    registry = CollectorRegistry()
    Tallies("sent", "What was sent.", ["lane"], registry=registry)

    with pytest.raises(ValueError, match="Duplicated"):
        Counter("sent", "What was sent.", registry=registry)
