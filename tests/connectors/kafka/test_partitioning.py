from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kafka.partitioning import murmur2, partition_of
from tests.support.kafka import Kafka, Outgoing
from tests.support.mock_kafka import PARTITIONS, MockKafka


@pytest.mark.parametrize(
    ("key", "java"),
    # org.apache.kafka.common.utils.UtilsTest.testMurmur2
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_the_hash_is_that_of_java(key: bytes, java: int) -> None:
    assert murmur2(key) == java & 0xFFFFFFFF


@given(st.binary(max_size=64), st.integers(1, 512))
def test_every_key_has_one_partition_inside_the_topic(key: bytes, partitions: int) -> None:
    assert 0 <= partition_of(key, partitions) < partitions


def test_no_partitions_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one partition, not 0"):
        partition_of(b"k", 0)


KEYS = (
    [b"+1415555%04d" % n for n in range(300)]
    + [bytes([n] * (n % 9)) for n in range(1, 60)]
    + [b"", b"\xff\x80", b"\x80"]
)


def test_librdkafka_chooses_the_same_partition(mock_kafka: MockKafka) -> None:
    positions = Kafka(mock_kafka.bootstrap).produce([Outgoing("keys", b"v", key) for key in KEYS])
    assert [partition for _, partition, _ in positions] == [partition_of(key, PARTITIONS) for key in KEYS]


def test_the_same_holds_on_a_real_topic_with_an_odd_count(kafka: Kafka) -> None:
    topic = kafka.unique("keys")
    kafka.create_topics({topic: 7})
    kafka.produce([Outgoing(topic, b"v", key) for key in KEYS])
    found = {record.key: record.partition for record in kafka.consume_all(topic)}
    assert found == {key: partition_of(key, 7) for key in KEYS}
