"""What a worker's consumer tells Prometheus. Per topic, never per partition: there may be hundreds."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

OUTSTANDING = Gauge("commlayer_kafka_outstanding_records", "Records delivered to the stage and not finished", ["topic"])
DELIVERED = Counter(
    "commlayer_kafka_delivered_records", "Records delivered to the stage, repetitions included", ["topic"]
)
FETCHES = Counter(
    "commlayer_kafka_fetches", "Polls of what the broker sent, by whether there was anything", ["outcome"]
)
COMMITS = Counter("commlayer_kafka_commits", "Offset commits that the broker confirmed")
COMMIT_FAILURES = Counter("commlayer_kafka_commit_failures", "Offset commits that were refused or not answered in time")
REBALANCES = Counter("commlayer_kafka_rebalances", "Assignments received")
UNSHARED = Gauge(
    "commlayer_kafka_unshared_partitions",
    "Partitions of the topics read here that the group's sharing out gave to nobody",
    ["topic"],
)
SHARED_OUT_ANEW = Counter(
    "commlayer_kafka_sharing_out_requests", "Times this worker asked its group to share partitions out anew"
)
ASSIGNED = Gauge("commlayer_kafka_assigned_partitions", "Partitions assigned to this worker", ["served"])
LOST = Counter(
    "commlayer_kafka_lost_records", "Records gone from the log before they were processed, at most", ["topic"]
)
PAST_HALF_RETENTION = Gauge(
    "commlayer_kafka_partitions_past_half_retention",
    "Partitions with unprocessed records for which half of the topic's retention is over",
    ["topic"],
)
LEASE_AGE = Gauge("commlayer_kafka_lease_age_seconds", "Time since the request of the last confirmed heartbeat")
LOOP_LAG = Gauge("commlayer_kafka_loop_lag_seconds", "How late the main loop was, at the last look")
