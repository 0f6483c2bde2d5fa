"""How every part of a process reaches Kafka: addresses, credentials and the few times that the parts must agree on.

commlayer builds these from its configuration; nothing below it reads a file or the environment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Protocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

READER_GROUP = "commlayer.reader"
"""Group id of everything that reads partitions assigned by hand. librdkafka insists on one and asks where its
coordinator is; nobody ever joins it or commits under it, so the right to Describe it is all that readers are given."""


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """Who we are to the brokers and how the connection is protected.

    Attributes:
        protocol: as Kafka names it (`security.protocol`).
        mechanism: SASL mechanism; needed with the SASL protocols only.
        username, password: SASL credentials. The password never appears in `repr`.
        ca_file: PEM file of the authority that signed the brokers' certificates; the system's store when None.

    Raises:
        ValueError: a SASL protocol without mechanism, username or password.
    """

    protocol: Protocol = "PLAINTEXT"
    mechanism: Mechanism | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca_file: str | None = None

    def __post_init__(self) -> None:
        if self.sasl and not (self.mechanism and self.username and self.password):
            raise ValueError(f"security protocol {self.protocol} needs mechanism, username and password")

    @property
    def sasl(self) -> bool:
        """The brokers ask for a name and a password."""
        return self.protocol.startswith("SASL_")

    @property
    def tls(self) -> bool:
        """The connection is encrypted."""
        return self.protocol.endswith("SSL")

    def client_config(self) -> dict[str, object]:
        """The librdkafka settings of these credentials."""
        config: dict[str, object] = {"security.protocol": self.protocol}
        if self.sasl:
            config |= {
                "sasl.mechanism": self.mechanism,
                "sasl.username": self.username,
                "sasl.password": self.password,
            }
        if self.tls and self.ca_file is not None:
            config["ssl.ca.location"] = self.ca_file
        return config


@dataclass(frozen=True, slots=True)
class KafkaSettings:
    """Addresses, credentials and timing of one process's Kafka clients.

    Attributes:
        bootstrap: `host:port` of one or more brokers.
        security: credentials and encryption.
        session_timeout_s: silence after which the group takes a worker's partitions away. 30 s, so that a restart under
            static membership disturbs nobody.
        heartbeat_interval_s: a tenth of the session: several heartbeats may be lost before anything happens.
        request_timeout_s: the longest a request to the outside (a POST) may still be under way after the lease was
            checked. The lease ends that much before the session: who lost its partitions has no request out.
        commit_interval_s: how often the finished prefix is committed; what a kill -9 may redeliver.
        rebalance_timeout_s: how long the group waits for a member to let go of its partitions and join again; then it
            gives them away, heartbeats or not, so the lease may not outlive it either.
        fetch_max_wait_ms: long poll of one fetch while partitions are busy. Faust's fixed 1,500 lets a busy partition
            among idle ones wait that long for its next fetch; 10 doubles CPU and p99 (both measured).
        calm_fetch_wait_ms: the same otherwise (fetch_wait.py). A record that comes is answered at once either way.
        max_fetch_bytes: of one partition in one fetch: what a partition that is not read may park in memory.
        max_poll_records: records of all partitions together in one poll.
        fair_poll_records: records of one partition in one poll, so that a full partition cannot take it all.
        in_flight_wait_s: how long a revoke waits for work under way before the partitions are let go.
        metadata_max_age_s: how soon added partitions are noticed.
        broker_request_timeout_s: how long one request to a broker may take. Faust demands at least the session timeout,
            and joining the group is one request that lasts up to the rebalance timeout.

    Raises:
        ValueError: no bootstrap address; a lease that could never be valid (request timeout not below those of session
            and rebalance, heartbeat above a third of the session); a group that could never be joined (request to the
            broker given up before the rebalance can end).
    """

    bootstrap: tuple[str, ...]
    security: KafkaSecurity = KafkaSecurity()
    session_timeout_s: float = 30.0
    heartbeat_interval_s: float = 3.0
    request_timeout_s: float = 10.0
    commit_interval_s: float = 0.5
    rebalance_timeout_s: float = 30.0
    fetch_max_wait_ms: int = 100
    calm_fetch_wait_ms: int = 500
    max_fetch_bytes: int = 131_072
    max_poll_records: int = 500
    fair_poll_records: int = 100
    in_flight_wait_s: float = 5.0
    metadata_max_age_s: float = 60.0
    broker_request_timeout_s: float = 40.0

    def __post_init__(self) -> None:
        if not self.bootstrap:
            raise ValueError("kafka needs at least one bootstrap address")
        if self.lease_s <= 0:
            raise ValueError(
                f"request timeout {self.request_timeout_s} s must be shorter than session timeout "
                f"{self.session_timeout_s} s and rebalance timeout {self.rebalance_timeout_s} s"
            )
        if max(self.session_timeout_s, self.rebalance_timeout_s) >= self.broker_request_timeout_s:
            raise ValueError(
                f"broker request timeout {self.broker_request_timeout_s} s must be longer than session timeout "
                f"{self.session_timeout_s} s and rebalance timeout {self.rebalance_timeout_s} s"
            )
        if self.heartbeat_interval_s * 3 > self.session_timeout_s:
            raise ValueError(
                f"heartbeat interval {self.heartbeat_interval_s} s must be at most a third of session timeout "
                f"{self.session_timeout_s} s"
            )

    @property
    def lease_s(self) -> float:
        """Seconds after the last answered heartbeat during which this worker may still start a request."""
        return min(self.session_timeout_s, self.rebalance_timeout_s) - self.request_timeout_s

    def client_config(self) -> dict[str, object]:
        """What every librdkafka client of this process starts from: addresses and credentials."""
        return {"bootstrap.servers": ",".join(self.bootstrap), **self.security.client_config()}

    def reader_config(self, name: str) -> dict[str, object]:
        """For a consumer whose partitions are assigned by hand, and which commits nothing.

        Args:
            name: client id, for the brokers' logs.
        """
        return {
            **self.client_config(),
            "group.id": READER_GROUP,
            "client.id": name,
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "enable.partition.eof": True,
            "log_level": 0,  # what goes wrong is told once, by who reads
        }
