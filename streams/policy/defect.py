"""What becomes of a message on which policy itself fails: a denial, so that the others go on. Pure.

The process would meet the record again after each restart, and nobody's messages in its partition would be decided. The
error's own text is left out everywhere: it may hold what the message says.
"""

from __future__ import annotations

from pathlib import Path
from traceback import extract_tb

from schemas.reasons import Reason

from .memory import EntryUnreadable
from .verdict import Denied, Deny

RULE = "decide"
"""Stands where a decision names its rule."""


def denial(error: Exception) -> Denied:
    """The decision on a message whose decision raised the error."""
    if isinstance(error, EntryUnreadable):
        what = f"What was decided on it before cannot be read ({error}), so it may have been sent."
    else:
        what = f"Policy failed on it: {type(error).__name__} at {frames(error)[-1]}."
    deny = Deny(
        Reason.INTERNAL_ERROR,
        None,
        what,
        "Report it with its dead letter; when it is mended, ask again under a new idempotency key.",
    )
    return Denied(deny, RULE)


def frames(error: Exception) -> list[str]:
    """Files and lines on the way to the error, the last one last."""
    return [f"{Path(frame.filename).name}:{frame.lineno}" for frame in extract_tb(error.__traceback__)]
