"""What partition state tells Prometheus. Per topic, never per partition."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

RESTORED = Counter(
    "commlayer_state_restored_records", "Records of the log folded when partitions were opened", ["topic"]
)
RESTORE_SECONDS = Histogram(
    "commlayer_state_restore_seconds",
    "From the claim of a partition until it is served",
    ["topic"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
WRITES = Counter("commlayer_state_writes", "Records of this process acknowledged and stored", ["topic"])
FOREIGN = Counter(
    "commlayer_state_foreign_records",
    "Records of others found between ours, by what became of them",
    ["topic", "outcome"],
)
TAKEN = Counter(
    "commlayer_state_taken_partitions", "Partitions that another process claimed while they were open here", ["topic"]
)
REBUILT = Counter(
    "commlayer_state_rebuilt_stores", "Local stores thrown away and read from the log again", ["topic", "reason"]
)
UNDECODABLE = Counter("commlayer_state_undecodable_records", "Records with a wrong envelope, passed over", ["topic"])
EVICTED = Counter("commlayer_state_evicted_entries", "Entries deleted because they were no longer needed", ["topic"])
OPEN = Gauge("commlayer_state_open_partitions", "Partitions served by this process", ["topic"])
