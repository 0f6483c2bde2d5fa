"""What makes two requests the same: a repeat under one idempotency key must say what the first one said."""

from __future__ import annotations

import json
from hashlib import blake2b

from schemas.records import MessageRequest

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
