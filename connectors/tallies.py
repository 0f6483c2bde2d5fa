"""Counters and histograms for what happens thousands of times a second, written by one event loop only.

prometheus_client locks and checks at every step, so that any thread may count; with ten counts per message that was a
twentieth of dispatch's time. Here a count is an addition. Anybody may read, as from prometheus_client's own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import inf

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector, CollectorRegistry


class Tally:
    """One counter."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0.0

    def inc(self, amount: float = 1.0) -> None:
        """Count."""
        self.value += amount


class Tallies(Collector):
    """Counters of one name; exported as prometheus_client's `Counter` is."""

    def __init__(
        self, name: str, documentation: str, labels: Sequence[str], *, registry: CollectorRegistry = REGISTRY
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._of: dict[tuple[str, ...], Tally] = {}
        registry.register(self)

    def labels(self, *values: str) -> Tally:
        """The counter of these values. Keep it: finding it costs more than counting."""
        assert len(values) == len(self._labels), "one value for each label"
        return self._of.setdefault(values, Tally())

    def describe(self) -> list[CounterMetricFamily]:
        """Called by prometheus_client."""
        return [CounterMetricFamily(self._name, self._documentation, labels=self._labels)]

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Called by prometheus_client."""
        [family] = self.describe()
        for values, tally in list(self._of.items()):
            family.add_metric(values, tally.value)
        yield family


class Spread:
    """One histogram."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, amount: float) -> None:
        """Count an amount; a bound counts what is equal to it."""
        self.counts[bisect_left(self._bounds, amount)] += 1
        self.total += amount


class Spreads(Collector):
    """Histograms of one name; exported as prometheus_client's `Histogram` is.

    Args:
        buckets: upper bounds, ascending; an infinite one is added.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        *,
        buckets: Sequence[float],
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        self._name = name
        self._documentation = documentation
        self._labels = labels
        self._bounds = [float(bound) for bound in buckets]
        self._of: dict[tuple[str, ...], Spread] = {}
        registry.register(self)

    def labels(self, *values: str) -> Spread:
        """The histogram of these values. Keep it: finding it costs more than counting."""
        assert len(values) == len(self._labels), "one value for each label"
        return self._of.setdefault(values, Spread(self._bounds))

    def describe(self) -> list[HistogramMetricFamily]:
        """Called by prometheus_client."""
        return [HistogramMetricFamily(self._name, self._documentation, labels=self._labels)]

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Called by prometheus_client."""
        [family] = self.describe()
        bounds = ["+Inf" if bound == inf else str(bound) for bound in (*self._bounds, inf)]
        for values, spread in list(self._of.items()):
            family.add_metric(values, list(zip(bounds, accumulate(spread.counts), strict=True)), spread.total)
        yield family
