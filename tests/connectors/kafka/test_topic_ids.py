"""Which topic a name stands for."""

from __future__ import annotations

from confluent_kafka.admin import AdminClient

from connectors.kafka.topic_ids import topic_ids
from tests.support.kafka import Kafka
from tests.support.mock_kafka import MockKafka


def test_each_topic_has_an_id_of_its_own_and_one_that_is_not_there_has_none(kafka: Kafka) -> None:
    first, second = kafka.unique("ids"), kafka.unique("ids")
    kafka.create_topics({first: 1, second: 2})
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    found = topic_ids(admin, [first, second, "tests.nowhere"])
    assert found.keys() == {first, second}
    assert all(found.values())
    assert found[first] != found[second]
    assert topic_ids(admin, [first]) == {first: found[first]}


def test_a_cluster_that_gives_topics_no_ids_is_not_waited_for(mock_kafka: MockKafka) -> None:
    admin = AdminClient({"bootstrap.servers": mock_kafka.bootstrap, "log_level": 0})
    admin.list_topics("made", timeout=10)
    assert topic_ids(admin, ["made", "absent"]) == {"made": ""}


def test_nothing_is_told_while_no_broker_answers() -> None:
    admin = AdminClient({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})
    assert topic_ids(admin, ["made"]) == {}
