"""Every id is a function of its input, so that doing something again names it the same."""

from __future__ import annotations

import uuid
from hashlib import sha1

_NAMESPACE = uuid.UUID("6d8a3f0e-5f0b-5c1e-9a53-1f3f6c7d2b11")
"""Root of commlayer's name-based UUIDs (version 5); never changes."""
_NAMESPACE_BYTES = _NAMESPACE.bytes


def _id(*parts: object) -> str:
    # Length-prefixed, so that ("ab", "c") and ("a", "bc") differ. The rest is uuid.uuid5 without its objects.
    name = "".join([f"{len(text)}:{text}" for text in map(str, parts)])
    digest = bytearray(sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).digest()[:16])
    digest[6] = digest[6] & 0x0F | 0x50  # version 5
    digest[8] = digest[8] & 0x3F | 0x80  # variant of RFC 9562
    text = digest.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def message_id_by_key(app: str, recipient: str, idempotency_key: str) -> str:
    """Id of a message whose app gave an idempotency key; the same on every retry of the app."""
    return _id("key", app, recipient, idempotency_key)


def message_id_by_origin(topic: str, partition: int, offset: int) -> str:
    """Id of a message without idempotency key: the place where its request was first written."""
    return _id("origin", topic, partition, offset)


def lifecycle_event_id(message_id: str, round: int, attempt: int | None, stage: str, status: str) -> str:
    """Id of one step of a message's story."""
    return _id("event", message_id, round, "" if attempt is None else attempt, stage, status)


def consent_id(recipient: str, change: str, evidence: str) -> str:
    """Id of a change of consent by its evidence (a message SID, a form id)."""
    return _id("consent", recipient, change, evidence)
