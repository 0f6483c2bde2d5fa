"""Every id is a function of its input, so that doing something again names it the same."""

from __future__ import annotations

import uuid
from hashlib import sha1

_NAMESPACE = uuid.UUID("6d8a3f0e-5f0b-5c1e-9a53-1f3f6c7d2b11")
"""Root of commlayer's name-based UUIDs (version 5); never changes."""
_BEGUN = sha1(_NAMESPACE.bytes, usedforsecurity=False)
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""The digit that tells the variant of RFC 9562, by the one that the hash has in its place."""


def _id(name: str) -> str:
    """uuid.uuid5 without its objects, a third of its time. The parts of the name are prefixed by their lengths, so that
    ("ab", "c") and ("a", "bc") differ."""
    hash = _BEGUN.copy()
    hash.update(name.encode())
    text = hash.hexdigest()
    return f"{text[:8]}-{text[8:12]}-5{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


def message_id_by_key(app: str, recipient: str, idempotency_key: str) -> str:
    """Id of a message whose app gave an idempotency key; the same on every retry of the app."""
    return _id(f"3:key{len(app)}:{app}{len(recipient)}:{recipient}{len(idempotency_key)}:{idempotency_key}")


def message_id_by_origin(topic: str, partition: int, offset: int) -> str:
    """Id of a message without idempotency key: the place where its request was first written."""
    return _id(f"6:origin{len(topic)}:{topic}{_number(partition)}{_number(offset)}")


def message_id_by_reused_origin(topic: str, partition: int, offset: int, written_at: int) -> str:
    """Id of such a message whose place had been another's, in a topic that was made anew since.

    Args:
        written_at: the record's own timestamp, epoch milliseconds UTC.
    """
    return _id(f"6:reused{len(topic)}:{topic}{_number(partition)}{_number(offset)}{_number(written_at)}")


def lifecycle_event_id(message_id: str, round: int, attempt: int | None, stage: str, status: str) -> str:
    """Id of one step of a message's story."""
    attempt_part = "0:" if attempt is None else _number(attempt)
    return _id(
        f"5:event{len(message_id)}:{message_id}{_number(round)}{attempt_part}{len(stage)}:{stage}{len(status)}:{status}"
    )


def consent_id(recipient: str, change: str, evidence: str) -> str:
    """Id of a change of consent by its evidence (a message SID, a form id)."""
    return _id(f"7:consent{len(recipient)}:{recipient}{len(change)}:{change}{len(evidence)}:{evidence}")


def _number(number: int) -> str:
    text = str(number)
    return f"{len(text)}:{text}"
