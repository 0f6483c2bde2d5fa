"""What every rule says to a request, also behind the first denial: for people who ask why. Pure.

The decision itself is `decide`'s; this only shows more of the way to it.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.records import MessageRequest

from .case import Case, Entry
from .config import PolicyConfig
from .decide import decide
from .facts import NOTHING_KNOWN, Facts
from .rules import RULES
from .verdict import Allow, Decision, Verdict


@dataclass(frozen=True, slots=True)
class Asked:
    """One rule's word.

    Attributes:
        rule: its name.
        verdict: what it said; None: it could not be asked, because `needs` did not allow.
        needs: the first rule that did not allow, where this one builds on it.
    """

    rule: str
    verdict: Verdict | None
    needs: str | None = None


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """All rules' words, in their order, and the decision that follows from the first that did not allow."""

    asked: tuple[Asked, ...]
    decision: Decision


def rehearse(
    request: MessageRequest, entry: Entry, config: PolicyConfig, now_ms: int, facts: Facts = NOTHING_KNOWN
) -> Rehearsal:
    """Ask all rules, with the arguments of `decide`."""
    case = Case(request, entry, config, now_ms, facts)
    asked: list[Asked] = []
    stopped: str | None = None
    for rule in RULES:
        try:
            verdict = rule.check(case)
        except Exception:
            # A rule may rely on what those before it checked. What fails without such a denial is a defect.
            if stopped is None:
                raise
            asked.append(Asked(rule.name, None, stopped))
            continue
        asked.append(Asked(rule.name, verdict))
        if stopped is None and not isinstance(verdict, Allow):
            stopped = rule.name
    return Rehearsal(tuple(asked), decide(request, entry, config, now_ms, facts))
