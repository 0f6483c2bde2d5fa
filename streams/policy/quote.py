"""How a value of a request is quoted in a detail: short, on one line, never a body."""

from __future__ import annotations

_SHOWN = 40  # enough to recognise a name; a detail is one line


def quote(value: str) -> str:
    """The value in quotes, cut after 40 characters, control characters escaped."""
    return repr(value if len(value) <= _SHOWN else f"{value[:_SHOWN]}…")
