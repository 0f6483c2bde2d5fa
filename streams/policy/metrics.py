"""What policy counts."""

from __future__ import annotations

from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

from connectors.tallies import Spread, Spreads, Tallies, Tally

_decisions = Tallies(
    "commlayer_policy_decisions", "Decisions, by app, outcome and reason.", ["app", "outcome", "reason"]
)
_decision_seconds = Spreads(
    "commlayer_policy_decision_seconds",
    "Time from the append of a request to the decision on it, by kind of topic.",
    ["topic"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600),
)
_enrichments = Tallies(
    "commlayer_policy_enrichments",
    "Questions to customer data, by category and what came of them.",
    ["category", "outcome"],
)
_hops = Counter("commlayer_policy_wheel_hops", "Messages passed to the next tier of the wheel.", ["tier"])
cancellations = Counter("commlayer_policy_cancellations", "Cancellations passed on.")
republished = Counter(
    "commlayer_policy_republished", "Requests whose key or partition was not their recipient's, written again."
)
repeats = Counter("commlayer_policy_repeats", "Requests whose idempotency key had been used for the same message.")
again = Counter("commlayer_policy_again", "Decisions that were made before a crash or rebalance and published again.")
consents = Counter("commlayer_policy_consents", "Changes of consent folded into what is remembered of a person.")
unreadable = Counter(
    "commlayer_policy_unreadable_entries", "Times that something remembered was needed and could not be read."
)
put_off = Counter(
    "commlayer_policy_put_off", "Records sent round by the wheel because too many of their person's waited."
)
lateness = Histogram(
    "commlayer_policy_wheel_late_seconds",
    "How long after its due time a message left the wheel.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 60, 600),
)
under_way = Gauge("commlayer_policy_under_way", "Records being decided.")
waiting = Gauge("commlayer_policy_waiting", "Records that wait for their turn.")
held = Gauge("commlayer_policy_held", "Records of the wheel that are held until due.")


@lru_cache(maxsize=4096)
def decided(app: str, outcome: str, reason: str) -> Tally:
    """The counter of these labels; finding it each time would cost more than counting."""
    return _decisions.labels(app, outcome, reason)


@lru_cache(maxsize=8)
def decision_seconds(kind: str) -> Spread:
    """Histogram for urgent, normal or deferred records."""
    return _decision_seconds.labels(kind)


@lru_cache(maxsize=16)
def hops(tier: str) -> Counter:
    """Counter of hops into a tier."""
    return _hops.labels(tier)


@lru_cache(maxsize=1024)
def enriched(category: str, outcome: str) -> Tally:
    """Counter of questions to customer data: known, unknown, unavailable."""
    return _enrichments.labels(category, outcome)
