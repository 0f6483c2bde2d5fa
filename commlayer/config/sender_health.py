"""The section about the health of senders: when policy had better send by another one."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from streams.feedback.sender_health import DEFAULTS, SenderHealthSettings

from .fields import Duration, PositiveInt, Section, duration_s

Share = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class SenderHealth(Section):
    """When a sender is avoided because too many of its messages fail for its own sake (docs/errors.md tells which codes
    count). Each feedback process counts the messages of its own partitions."""

    window: Duration = Field(default="5m", description="Counted are messages that were sent within it.")
    at_least: PositiveInt = Field(
        default=DEFAULTS.at_least,
        description="Messages within the window, for each feedback process; fewer prove nothing.",
    )
    unhealthy_above: Share = Field(
        default=DEFAULTS.unhealthy_above,
        description="Share of failed messages, as a part of 1, above which the sender is avoided; 1 never avoids one.",
    )
    healthy_below: Share = Field(
        default=DEFAULTS.healthy_below, description="Share below which it is used again before `avoid_for` is over."
    )
    avoid_for: Duration = Field(
        default="10m", description="So long it is avoided after the last word; at least `window`, at most a day."
    )

    @model_validator(mode="after")
    def _fit_together(self) -> SenderHealth:
        if self.healthy_below > self.unhealthy_above:
            fix = "write a `healthy_below` that is at most `unhealthy_above`: between the two nothing changes."
            raise PydanticCustomError("sender_health", "a sender would be healthy and not", {"fix": fix})
        window_s, avoid_s = duration_s(self.window), duration_s(self.avoid_for)
        if not 10 <= window_s <= avoid_s <= 86_400:
            fix = "write a `window` of at least 10s, and an `avoid_for` from that length to 24h."
            what = "window {window} and avoid_for {avoid_for} do not go together"
            raise PydanticCustomError(
                "sender_health", what, {"window": self.window, "avoid_for": self.avoid_for, "fix": fix}
            )
        return self

    def as_feedback(self) -> SenderHealthSettings:
        """As feedback takes it."""
        return SenderHealthSettings(
            window_ms=duration_s(self.window) * 1000,
            at_least=self.at_least,
            unhealthy_above=self.unhealthy_above,
            healthy_below=self.healthy_below,
            avoid_ms=duration_s(self.avoid_for) * 1000,
        )
