"""What makes two requests the same: a repeat under one idempotency key must say what the first one said, and without a
key it must be the same record."""

from __future__ import annotations

import json
from hashlib import blake2b

from schemas.records import MessageRequest

STAMP_BYTES = 8
DIGEST_BYTES = 16
"""Enough that two different texts never meet; it is compared under one key only."""


def digest(request: MessageRequest) -> bytes:
    """16 bytes that are equal for requests that say the same on the same channels, in the same category and language.

    Times, tags, correlation id, sender hints and delivery options are left out: a client that tries again makes them
    anew. App, recipient and key are what is compared under.
    """
    content = request.content
    said = [
        request.category,
        request.channel.value,
        [channel.value for channel in request.fallback_channels],
        request.locale,
        content.body,
        content.media_urls,
        content.template,
        content.template_version,
        content.content_sid,
        sorted(content.variables.items()),
    ]
    return blake2b(json.dumps(said).encode(), digest_size=DIGEST_BYTES).digest()


def stamp(written_at: int | None) -> bytes | None:
    """What is remembered of a request without key in place of its digest: when it was first written, as 8 bytes. Its
    place alone names it only as long as the topic is not deleted and made anew."""
    return None if written_at is None else written_at.to_bytes(STAMP_BYTES, "big")


def is_of_another(remembered: bytes | None, written_at: int | None) -> bool:
    """Whether a decision is known to be about another request without key at the same place. Earlier versions
    remembered nothing of such a request: it is taken for the same."""
    if remembered is None or written_at is None or len(remembered) != STAMP_BYTES:
        return False
    return remembered != stamp(written_at)
