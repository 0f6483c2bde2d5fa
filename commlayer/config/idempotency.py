"""The section about idempotency keys: how long a repeat is known for one."""

from __future__ import annotations

from pydantic import Field

from .fields import Duration, Section


class Idempotency(Section):
    """How long a message is remembered after its end, so that a repeat under its key is no second message."""

    remember: Duration = Field(
        default="8d",
        description="From the end of the message (its deadline, when it was admitted) on; 8d to 90d. Never shorter "
        "than the window of a cap.",
    )
