"""librdkafka's mock cluster: a broker inside this process. It proves little (no topics to create, always four
partitions, nothing kept), but it is there at once."""

from __future__ import annotations

from confluent_kafka import Producer

PARTITIONS = 4
"""Of every topic, which appears when it is first asked for."""


class MockKafka:
    """A mock cluster; lives as long as this object."""

    def __init__(self, brokers: int = 1) -> None:
        self._owner = Producer({"test.mock.num.brokers": brokers, "log_level": 0})
        found = self._owner.list_topics(timeout=30).brokers.values()
        self.bootstrap = ",".join(f"{broker.host}:{broker.port}" for broker in found)
