"""What becomes of a message: by rules, drawn from seed, recipient and the how-manieth message to it.

The draw depends on nothing else, so the same traffic has the same outcomes however its requests interleave.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b

from twin.settings import Outcome, OutcomeRule, OutcomeSettings, Span


@dataclass(frozen=True, slots=True)
class Facts:
    """What rules look at."""

    to: str
    sender: str | None
    body: str


@dataclass(frozen=True, slots=True)
class Fate:
    """What was drawn for one message.

    Attributes:
        outcome: status, code and delays.
        refuse: the error code its request is refused with, if any.
        chance: draws its delays; 0 to 1.
    """

    outcome: Outcome
    refuse: int | None
    chance: float

    def delay(self, span: Span) -> float:
        """A delay in seconds from a span."""
        return span[0] + (span[1] - span[0]) * self.chance


class Outcomes:
    """Draws fates."""

    def __init__(self, settings: OutcomeSettings) -> None:
        self.plan(settings)

    def plan(self, settings: OutcomeSettings) -> None:
        """Follow these rules for messages to come; counts begin anew."""
        self.settings = settings
        self._sent_to: Counter[str] = Counter()

    def draw(self, facts: Facts) -> Fate:
        """The fate of the next message to this recipient; refused requests count as messages, too."""
        settings = self.settings
        ordinal = self._sent_to[facts.to] = self._sent_to[facts.to] + 1
        for at, rule in enumerate(settings.rules):
            if _matches(rule, facts, ordinal) and _chance(settings.seed, at, facts.to, ordinal) < rule.share:
                return Fate(rule, rule.refuse, _chance(settings.seed, "delay", facts.to, ordinal))
        return Fate(settings.default, None, _chance(settings.seed, "delay", facts.to, ordinal))


def _matches(rule: OutcomeRule, facts: Facts, ordinal: int) -> bool:
    return (
        (not rule.to or facts.to in rule.to)
        and facts.to.startswith(rule.to_prefix)
        and facts.to.endswith(rule.to_suffix)
        and (rule.from_address is None or rule.from_address == facts.sender)
        and rule.body_contains in facts.body
        and (rule.first is None or ordinal <= rule.first)
    )


def _chance(*parts: object) -> float:
    digest = blake2b("|".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
