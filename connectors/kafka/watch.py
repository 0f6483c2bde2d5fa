"""Looks at a running consumer from the side: gauges, and whether its client still fetches."""

from __future__ import annotations

import time
from collections.abc import Callable

from connectors.health import Health

from . import metrics
from .ledger import Ledger

SILENT_AFTER_S = 60.0
"""No answer to any fetch for so long, while heartbeats are answered, is a fault of this client: an idle broker answers
twice a second."""


class FetchWatch:
    """Clients were reported to stop fetching for good after a rebalance. `look` is called every second or so."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last_response = 0
        self._silent_since = clock()

    def look(self, last_response: int, *, expected: bool) -> None:
        """Tell when the last fetch was answered (any number that changes with each answer), and whether answers are to
        be expected: there is room, and the group knows this worker."""
        if last_response != self._last_response or not expected:
            self._last_response = last_response
            self._silent_since = self._clock()

    def health(self) -> Health:
        """The liveness check."""
        silent_s = self._clock() - self._silent_since
        return Health(silent_s < SILENT_AFTER_S, f"no fetch was answered for {silent_s:.0f} s")


def set_gauges(ledger: Ledger, without_anchor: int) -> None:
    """Publish what is outstanding per topic and how many partitions are held."""
    outstanding: dict[str, int] = {}
    for tp, partition in ledger.partitions.items():
        outstanding[tp.topic] = outstanding.get(tp.topic, 0) + partition.outstanding()
    for topic, count in outstanding.items():
        metrics.OUTSTANDING.labels(topic).set(count)
    metrics.ASSIGNED.labels("yes").set(len(ledger.partitions))
    metrics.ASSIGNED.labels("no").set(without_anchor)
