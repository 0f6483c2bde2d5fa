"""What librdkafka says becomes what the sender is told. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from confluent_kafka import KafkaError

from .errors import (
    BrokerUnavailable,
    MessageTooLarge,
    NotAuthorized,
    PublishError,
    PublishFailed,
    PublishTimeout,
    UnknownTopic,
)

_SEND_AGAIN = "send it again with the same idempotency key: that is safe, it is the same message"


@dataclass(slots=True)
class Circumstances:
    """What is known about the connection when a record fails.

    Attributes:
        bootstrap: addresses as configured.
        timeout_ms: how long an acknowledgement is waited for.
        principal: Kafka principal; None where the settings name no user.
        unreachable: why no broker answers; None while one does.
        refused: why the credentials were refused; None while they were not.
    """

    bootstrap: str
    timeout_ms: int
    principal: str | None = None
    unreachable: str | None = None
    refused: str | None = None

    def failure(self, error: KafkaError, topic: str) -> PublishError:
        """What became of a record on that topic."""
        match error.code():
            case KafkaError._PURGE_QUEUE if self.refused is not None:
                return self.no_login()
            case KafkaError._MSG_TIMED_OUT | KafkaError._PURGE_QUEUE | KafkaError._PURGE_INFLIGHT:
                if self.unreachable is not None:
                    return self.silence(self.unreachable)
                return PublishTimeout(f"no acknowledgement within {self.timeout_ms} ms", _SEND_AGAIN)
            case KafkaError.TOPIC_AUTHORIZATION_FAILED | KafkaError.CLUSTER_AUTHORIZATION_FAILED:
                return self._no_right(topic)
            case KafkaError.MSG_SIZE_TOO_LARGE | KafkaError.RECORD_LIST_TOO_LARGE:
                fix = "send media as URLs, and fewer or shorter variables"
                return MessageTooLarge("the request is larger than Kafka takes", fix)
            case KafkaError.UNKNOWN_TOPIC_OR_PART | KafkaError._UNKNOWN_TOPIC | KafkaError._UNKNOWN_PARTITION:
                fix = "check the app's name; an operator makes its topics with `commlayer topics apply`"
                return UnknownTopic(f"there is no topic {topic}", fix)
            case _:
                return PublishFailed(f"Kafka says {error.name()}: {error.str()}", _SEND_AGAIN)

    def silence(self, why: str) -> BrokerUnavailable:
        """No broker answers."""
        return BrokerUnavailable(f"no broker answers at {self.bootstrap} ({why})", _SEND_AGAIN)

    def no_login(self) -> NotAuthorized:
        """The credentials were refused."""
        return NotAuthorized(
            f"Kafka refuses the credentials of {self.principal or 'this client'} ({self.refused})",
            "correct sasl.username, sasl.password and sasl.mechanism",
            principal=self.principal,
            topic=None,
        )

    def _no_right(self, topic: str) -> NotAuthorized:
        who = self.principal or "this principal"
        return NotAuthorized(
            f"{who} may not write to {topic}",
            f"give {who} the ACL WRITE on topic {topic} (`commlayer topics apply` does, once the app names it)",
            principal=self.principal,
            topic=topic,
        )
