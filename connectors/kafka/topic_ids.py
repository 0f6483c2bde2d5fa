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
    found = {}
    for topic, future in futures.items():
        try:
            known = future.result().topic_id
        except KafkaException:
            continue
        named = known.get_most_significant_bits() or known.get_least_significant_bits()
        found[topic] = str(known) if named else ""
    return found


async def topic_id(settings: KafkaSettings, topic: str) -> str:
    """The id of a topic, as `topic_ids`. Waits until there is such a topic and a broker tells of it."""
    admin = AdminClient({**settings.client_config(), "client.id": "commlayer-topic-ids", "log_level": 0})
    while True:
        found = await asyncio.to_thread(topic_ids, admin, [topic])
        if topic in found:
            return found[topic]
        await asyncio.sleep(RETRY_S)
