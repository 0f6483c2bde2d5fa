"""What is counted about customer data. No label holds anything about a person."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

lookups = Counter(
    "commlayer_profiles_lookups",
    "Lookups of a person, by what came of them: cached, shared, known, unknown, unavailable.",
    ["outcome"],
)
request_seconds = Histogram(
    "commlayer_profiles_request_seconds",
    "Time from a request to Segment to its answer, by HTTP status; 0 where none came.",
    ["status"],
    buckets=(0.025, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
resting = Gauge("commlayer_profiles_resting", "1 while Segment is left alone after trouble.")
remembered = Gauge("commlayer_profiles_remembered", "People whose traits are remembered.")
