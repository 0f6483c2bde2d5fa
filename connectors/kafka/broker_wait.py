"""What a worker makes sure of before it starts: that the broker answers, and that its topics are as configured."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

import structlog
from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from connectors.health import Health

from .settings import KafkaSettings

log = structlog.get_logger(__name__)

ASK_S = 3.0
"""How long one attempt waits for an answer."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0
"""Pauses between attempts double. A broker takes a few seconds to start; who waits for it should not add more."""


class KafkaRefused(Exception):
    """The brokers answer and will not serve this configuration. The text says what to change."""


class BrokerWait:
    """Asks until the broker answers, then checks topics. Its log speaks once when waiting begins and once when it
    ends."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._bootstrap = ", ".join(settings.bootstrap)
        self._refusal: KafkaError | None = None
        self._health = Health(False, f"Kafka at {self._bootstrap} was not asked yet")

    def health(self) -> Health:
        """Whether the broker answered and the topics were right."""
        return self._health

    async def until_ready(self, required_topics: Mapping[str, int]) -> Mapping[str, int]:
        """Return once the broker answered and every topic has its partition count; all topics there are, with theirs.

        Raises:
            KafkaRefused: a topic is missing or has another count; or the credentials were refused.
        """
        found = await self._topics()
        problems = topic_problems(required_topics, found)
        if problems:
            self._health = Health(False, "; ".join(problems))
            raise KafkaRefused("\n".join(problems))
        self._health = Health(True, f"Kafka at {self._bootstrap}")
        return found

    async def _topics(self) -> Mapping[str, int]:
        admin = AdminClient(
            {
                **self._settings.client_config(),
                "error_cb": self._on_error,
                "reconnect.backoff.max.ms": 1000,
                "socket.connection.setup.timeout.ms": int(ASK_S * 1000),
            },
            logger=_silent_logger(),
        )
        pause_s, waiting = FIRST_PAUSE_S, False
        while True:
            try:
                metadata = await asyncio.to_thread(admin.list_topics, timeout=ASK_S)
            except KafkaException as error:
                await asyncio.to_thread(admin.poll, 0)
                if self._refusal is not None:
                    raise KafkaRefused(
                        f"Kafka at {self._bootstrap} refused the credentials of {self._settings.security.username!r}: "
                        f"{self._refusal.str()}; correct kafka.security"
                    ) from error
                if not waiting:
                    log.warning("kafka does not answer, waiting", bootstrap=self._bootstrap)
                waiting = True
                self._health = Health(False, f"waiting for Kafka at {self._bootstrap}")
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
            else:
                if waiting:
                    log.info("kafka answers", bootstrap=self._bootstrap)
                return {name: len(topic.partitions) for name, topic in metadata.topics.items()}

    def _on_error(self, error: KafkaError) -> None:
        if error.code() in (KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED):
            self._refusal = error


def topic_problems(required: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
    """One sentence, with its fix, for each required topic that is missing or has another partition count."""
    problems = []
    for name, count in sorted(required.items()):
        if name not in found:
            problems.append(
                f"topic {name} is missing or this user may not see it: run `commlayer topics apply` to create it"
            )
        elif found[name] != count:
            problems.append(
                f"topic {name} has {found[name]} partitions and {count} are configured: run `commlayer topics apply` "
                "to add partitions, or correct kafka.partitions"
            )
    return problems


def _silent_logger() -> logging.Logger:
    """librdkafka would report every failed attempt; we say it once."""
    logger = logging.getLogger(f"{__name__}.librdkafka")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger
