"""Ask commlayer to send a message.

    from commlayer_client import Publisher

    async with Publisher(app="shop", bootstrap="kafka:9092") as publisher:
        receipt = await publisher.send(to="+1 415 555 0123", category="otp", body="Your code is 123456")

`SyncPublisher` does the same without asyncio; `Decoder` reads what became of messages, and what people answered.
"""

from ._contracts import Consent, DecodeError, Inbound, StatusUpdate
from .decoder import Decoder
from .errors import (
    BrokerUnavailable,
    Fate,
    InvalidRecipient,
    InvalidRequest,
    MessageTooLarge,
    NotAuthorized,
    PublishError,
    PublishFailed,
    PublishTimeout,
    RegistryUnavailable,
    UnknownTopic,
)
from .publisher import Publisher, SyncPublisher
from .publishing import Receipt
from .recipients import normalise
from .requests import CancelFields, MessageFields

__all__ = [
    "BrokerUnavailable",
    "CancelFields",
    "Consent",
    "DecodeError",
    "Decoder",
    "Fate",
    "Inbound",
    "InvalidRecipient",
    "InvalidRequest",
    "MessageFields",
    "MessageTooLarge",
    "NotAuthorized",
    "PublishError",
    "PublishFailed",
    "PublishTimeout",
    "Publisher",
    "Receipt",
    "RegistryUnavailable",
    "StatusUpdate",
    "SyncPublisher",
    "UnknownTopic",
    "normalise",
]
