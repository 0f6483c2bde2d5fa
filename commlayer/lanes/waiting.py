"""How many messages wait in Kafka, by partition and class: end of the topic less what dispatch has finished."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

from connectors.kafka.settings import KafkaSettings
from schemas.records import MessageClass
from schemas.topics import dispatch_topic

GROUP = "commlayer.dispatch"
"""Consumer group of `run dispatch`."""
ANSWER_WITHIN_S = 10.0

Waiting = dict[tuple[int, MessageClass], int]


def waiting(kafka: KafkaSettings, partitions: Iterable[int]) -> Waiting:
    """Records not finished yet, those included that dispatch holds, by partition and class.

    Raises:
        KafkaException: it cannot be told; the text says why (a missing topic, no right to see the group).
    """
    classes = {dispatch_topic(each): each for each in MessageClass}
    places = [TopicPartition(topic, partition) for topic in classes for partition in sorted(set(partitions))]
    if not places:
        return {}
    admin = AdminClient({**kafka.client_config(), "log_level": 0})
    ends = _offsets(admin, places, OffsetSpec.latest())
    begins = _offsets(admin, places, OffsetSpec.earliest())
    asked = admin.list_consumer_group_offsets(
        [ConsumerGroupTopicPartitions(GROUP, places)], request_timeout=ANSWER_WITHIN_S
    )
    finished = asked[GROUP].result().topic_partitions
    found: Waiting = {}
    for each in finished:
        if each.error is not None:
            raise KafkaException(each.error)
        key = (each.topic, each.partition)
        done = max(each.offset, begins[key])  # without a commit the offset is negative
        found[each.partition, classes[each.topic]] = max(0, ends[key] - done)
    return found


def _offsets(admin: AdminClient, places: list[TopicPartition], spec: Any) -> dict[tuple[str, int], int]:
    asked = admin.list_offsets(dict.fromkeys(places, spec), request_timeout=ANSWER_WITHIN_S)
    return {(place.topic, place.partition): future.result().offset for place, future in asked.items()}
