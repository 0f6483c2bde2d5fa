"""librdkafka's mock cluster: a broker inside this process, with nothing to install.

It keeps nothing, knows no access rights and gives every topic four partitions. Enough to show the road; what is proven
about it is proven on a real Kafka.
"""

from __future__ import annotations

from collections.abc import Iterable

from confluent_kafka import Producer

PARTITIONS = 4
"""Of every topic; librdkafka's default, not to be changed through its configuration."""
SESSION_TIMEOUT_S = 6.0
"""The mock's group coordinator knows no longer one."""
_METADATA_TIMEOUT_S = 10.0


class EmbeddedBroker:
    """Lives as long as this object.

    Attributes:
        bootstrap: its address, for other processes as well.
    """

    def __init__(self) -> None:
        self._owner = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "", "log_level": 3})
        brokers = self._owner.list_topics(timeout=_METADATA_TIMEOUT_S).brokers.values()
        self.bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)

    def create_topics(self, names: Iterable[str]) -> None:
        """Topics appear when they are asked for."""
        client = Producer({"bootstrap.servers": self.bootstrap, "log_level": 3})
        for name in names:
            client.list_topics(name, timeout=_METADATA_TIMEOUT_S)
