"""Limits that the contract of a request states, checked by the client before sending and by policy for certain.

Only what holds for every installation stands here; what depends on configuration is policy's alone to say.
"""

from __future__ import annotations

BODY_MAX = 1600
"""Longest body Twilio takes (error 21617), in UTF-16 code units: an emoji counts as two and more."""
MEDIA_MAX = 10
"""Most media Twilio takes (error 21623)."""
IDEMPOTENCY_KEY_MAX = 128
TAGS_MAX = 10
VALIDITY_MAX_S = 36_000
"""Twilio's ValidityPeriod: 1..36000, else error 21624."""


def code_units(text: str) -> int:
    """Length of a text as Twilio counts it: in UTF-16 code units."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2
