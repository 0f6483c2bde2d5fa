"""What makes two requests the same: a repeat under one idempotency key must say what the first one said, and without a
key it must be the same record."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b
from json.encoder import encode_basestring_ascii as quoted

from schemas.records import MessageRequest

STAMP_BYTES = 8
DIGEST_BYTES = 16
"""Enough that two different texts never meet; it is compared under one key only."""


def digest(request: MessageRequest) -> bytes:
    """16 bytes that are equal for requests that say the same on the same channels, in the same category and language.

    Times, tags, correlation id, sender hints and delivery options are left out: a client that tries again makes them
    anew. App, recipient and key are what is compared under. What is hashed is the JSON that `json.dumps` makes of all
    that, put together here: for texts alone that takes a quarter of its time.
    """
    content = request.content
    said = [
        _text(request.category),
        _text(request.channel),
        _list(request.fallback_channels),
        _text(request.locale),
        _text(content.body),
        _list(content.media_urls),
        _text(content.template),
        _text(content.template_version),
        _text(content.content_sid),
        f"[{', '.join([_list(pair) for pair in sorted(content.variables.items())])}]",
    ]
    return blake2b(f"[{', '.join(said)}]".encode(), digest_size=DIGEST_BYTES).digest()


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


def _text(text: str | None) -> str:
    return "null" if text is None else quoted(text)


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join([quoted(text) for text in texts])}]" if texts else "[]"
