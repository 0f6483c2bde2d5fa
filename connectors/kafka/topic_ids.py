"""Which topic a name stands for: Kafka gives every topic an id of its own, so that one which was deleted and made again
under the same name can be told from the one before, whatever its offsets are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient

from .settings import KafkaSettings

ANSWER_WITHIN_S = 2.0
RETRY_S = 0.5


def topic_ids(admin: AdminClient, topics: Iterable[str]) -> dict[str, str]:
    """Ids of these topics, empty where the broker gives topics none; without topics that are not there, or of which no
    broker tells. Blocks."""
    futures = admin.describe_topics(TopicCollection(list(topics)), request_timeout=ANSWER_WITHIN_S)
    found, untold = {}, []
    for topic, future in futures.items():
        try:
            known = future.result().topic_id
        except KafkaException:
            untold.append(topic)
            continue
        named = known.get_most_significant_bits() or known.get_least_significant_bits()
        found[topic] = str(known) if named else ""
    return found | (_without_ids(admin, untold) if untold else {})


def _without_ids(admin: AdminClient, topics: Iterable[str]) -> dict[str, str]:
    """Those of the topics that are there, if the cluster is librdkafka's mock: it gives none an id, and the question
    goes to a controller that it does not have. A cluster of Kafka names a broker of its own as controller."""
    try:
        cluster = admin.list_topics(timeout=ANSWER_WITHIN_S)
    except KafkaException:
        return {}
    if cluster.controller_id < 0 or cluster.controller_id in cluster.brokers:
        return {}
    return {topic: "" for topic in topics if topic in cluster.topics and cluster.topics[topic].error is None}


async def topic_id(settings: KafkaSettings, topic: str) -> str:
    """The id of a topic, as `topic_ids`. Waits until there is such a topic and a broker tells of it."""
    admin = AdminClient({**settings.client_config(), "client.id": "commlayer-topic-ids", "log_level": 0})
    while True:
        found = await asyncio.to_thread(topic_ids, admin, [topic])
        if topic in found:
            return found[topic]
        await asyncio.sleep(RETRY_S)
