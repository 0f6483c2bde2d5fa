"""The section about frequency caps: how many messages one person gets."""

from __future__ import annotations

from pydantic import Field

from schemas.records import Channel
from streams.policy import config as policy
from streams.policy.config import OverCap

from .fields import Duration, PositiveInt, Section, duration_s


class Cap(Section):
    """How many messages one person gets at most, from all apps together. What no cap names is not capped."""

    categories: tuple[str, ...] = Field(min_length=1, description="Categories it covers, counted together.")
    channels: tuple[Channel, ...] = Field(
        default=(), description="Channels it covers, counted together; all when absent."
    )
    per: Duration = Field(description="Length of the sliding window, such as `24h` or `7d`; at most 90d.")
    at_most: PositiveInt = Field(description="Messages admitted within any such window.")
    over: OverCap = Field(
        default=OverCap.DEFER,
        description="What happens to one more: it waits for room as long as its deadline lets it, or is denied.",
    )

    def as_policy(self, name: str) -> policy.Cap:
        """As policy takes it."""
        return policy.Cap(
            name=name,
            categories=frozenset(self.categories),
            channels=frozenset(self.channels) or None,
            window_ms=duration_s(self.per) * 1000,
            at_most=self.at_most,
            over=self.over,
        )
