"""Why a message was not published, and whether it may have been all the same. No text holds a body or a number."""

from __future__ import annotations

from enum import StrEnum


class Fate(StrEnum):
    """What became of the request."""

    NOT_PUBLISHED = "not published"
    """It is certainly not in Kafka."""
    UNKNOWN = "unknown"
    """It may be in Kafka. Sending it again with the same idempotency key is safe: it is the same message."""


class PublishError(Exception):
    """Base of everything that `send` and `cancel` raise about a request.

    Attributes:
        detail: what went wrong.
        fix: what to do about it.
        fate: whether the request may be in Kafka all the same.
        idempotency_key: key of the request, also where it was generated: send again with it.
        message_id: id that the message has if it was published.
    """

    fate = Fate.NOT_PUBLISHED

    def __init__(self, detail: str, fix: str) -> None:
        super().__init__(f"{detail}; {fix}")
        self.detail = detail
        self.fix = fix
        self.idempotency_key: str | None = None
        self.message_id: str | None = None


class InvalidRequest(PublishError, ValueError):
    """A field of the request cannot be right, whatever the configuration of commlayer says.

    Attributes:
        field: name of the parameter, with the place inside it, for example `media_urls[2]`.
    """

    def __init__(self, field: str, detail: str, fix: str) -> None:
        super().__init__(f"{field}: {detail}", fix)
        self.field = field


class InvalidRecipient(InvalidRequest):
    """The recipient is no telephone number. Whether it is one in use, policy decides."""

    def __init__(self, detail: str, fix: str) -> None:
        super().__init__("to", detail, fix)


class MessageTooLarge(PublishError):
    """The request is larger than Kafka takes."""


class NotAuthorized(PublishError):
    """Kafka refuses the credentials, or this principal on this topic.

    Attributes:
        principal: Kafka principal, where the settings name a user.
        topic: request topic; None when nobody got that far.
    """

    def __init__(self, detail: str, fix: str, *, principal: str | None, topic: str | None) -> None:
        super().__init__(detail, fix)
        self.principal = principal
        self.topic = topic


class UnknownTopic(PublishError):
    """The app has no request topic in this Kafka."""


class RegistryUnavailable(PublishError):
    """The schema registry gives no answer, or does not hold the schemas of this version of the client.
    `Decoder` raises it as well, when it needs a schema."""


class PublishTimeout(PublishError):
    """Kafka did not acknowledge in time: nobody can tell whether the request is stored."""

    fate = Fate.UNKNOWN


class BrokerUnavailable(PublishTimeout):
    """The same, and no broker answers at all."""


class PublishFailed(PublishError):
    """Kafka refused for a reason of its own, which the text quotes."""

    fate = Fate.UNKNOWN
