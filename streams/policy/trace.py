"""The W3C trace context that a request brings and every record that follows from it carries on."""

from __future__ import annotations

import re
from typing import Any

TRACEPARENT = "traceparent"
"""Header of the W3C trace context."""
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


def traceparent_of(message: Any) -> str | None:
    """The trace context in a record's headers; None where there is none or it is malformed."""
    for name, value in message.headers or ():
        if name == TRACEPARENT and value is not None:
            text: str = value.decode("ascii", "replace")
            return text if _TRACEPARENT.fullmatch(text) else None
    return None


def trace_headers(traceparent: str | None) -> list[tuple[str, bytes]]:
    """The header that carries it on."""
    return [] if traceparent is None else [(TRACEPARENT, traceparent.encode())]
