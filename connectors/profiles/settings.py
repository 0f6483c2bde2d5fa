"""How Segment's Profile API is reached, and what is asked of it.

Facts about the API: Segment's page "Profile API" (segment.com/docs/unify/profile-api).
"""

from __future__ import annotations

from dataclasses import dataclass, field

SEGMENT_API = "https://profiles.segment.com"
"""In the European Union: https://profiles.euw1.segment.com."""

REQUESTS_PER_S = 100.0
"""What Segment grants a space; more by contract."""

TRAITS_MAX = 200
"""Most traits in one answer (`limit`; 10 when nothing is said)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentSettings:
    """One space of Segment's. The token never shows in `repr`.

    Attributes:
        space: id of the space.
        token: access token of the Profile API; carries access to all customer data of the space.
        traits: names of the traits that are asked for; no others are kept.
        base_url: where the API answers.
        requests_per_s: budget of this process; a space has one for everybody.
        timeout_s: longest time that somebody waits for one person's traits, with the wait for a place in the budget.
        cache_s: how long an answer holds.
        unknown_cache_s: how long it holds that Segment does not know a person.
        cache_entries: people remembered at most.
        max_answer_bytes: larger answers are refused.

    Raises:
        ValueError: a limit is not positive, or there are no or too many traits.
    """

    space: str
    token: str = field(repr=False)
    traits: tuple[str, ...]
    base_url: str = SEGMENT_API
    requests_per_s: float = REQUESTS_PER_S
    timeout_s: float = 2.0
    cache_s: float = 300.0
    unknown_cache_s: float = 60.0
    cache_entries: int = 10_000
    max_answer_bytes: int = 262_144

    def __post_init__(self) -> None:
        if not 1 <= len(self.traits) <= TRAITS_MAX:
            raise ValueError(f"Segment answers with 1 to {TRAITS_MAX} traits, not {len(self.traits)}")
        for name in ("requests_per_s", "timeout_s", "cache_s", "unknown_cache_s", "cache_entries", "max_answer_bytes"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be more than 0")
