"""Every id is a function of its input, so that doing something again names it the same."""

from __future__ import annotations

import uuid

_NAMESPACE = uuid.UUID("6d8a3f0e-5f0b-5c1e-9a53-1f3f6c7d2b11")
"""Root of commlayer's name-based UUIDs (version 5); never changes."""


def _id(*parts: object) -> str:
    # Length-prefixed, so that ("ab", "c") and ("a", "bc") differ.
    return str(uuid.uuid5(_NAMESPACE, "".join(f"{len(str(part))}:{part}" for part in parts)))


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
