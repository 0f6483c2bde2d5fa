"""Is it an hour at which a message of this category may reach the person, wherever they may be?"""

from __future__ import annotations

from functools import lru_cache

from schemas.reasons import Reason
from streams.policy.case import Case
from streams.policy.quiet.law import QuietHours, on_every_clock
from streams.policy.quiet.openings import Local, closes_at, opens_at
from streams.policy.quiet.places import candidates
from streams.policy.verdict import ALLOW, Defer, Deny, Verdict

_NOBODY_KNOWS_WHERE = Deny(
    Reason.QUIET_HOURS,
    "recipient",
    "Neither number nor profile tells by which clock the person lives, so no hour is known to be open.",
    "Give `time_zone` in the profile, or set `quiet_hours.anywhere`.",
)


def check(case: Case) -> Verdict:
    """Defer to the next opening; Deny when none begins before the deadline, and where nobody knows whose hours hold.
    What may not go before `not_before` is judged by that moment."""
    places = _places(case)
    if places is None:
        return _NOBODY_KNOWS_WHERE
    if not places:
        return ALLOW
    moment = max(case.now_ms, case.request.not_before or 0)
    opening = opens_at(places, moment, case.deadline)
    if opening is None:
        clocks = _clocks(places)
        return Deny(
            Reason.QUIET_HOURS,
            "deadline",
            f"It is quiet at the recipient's place until the deadline; clocks asked: {clocks}.",
            "Give a later deadline, or mark the category as exempt if the law allows.",
            facts={"clocks": clocks},
        )
    return Defer(opening, Reason.QUIET_HOURS, facts={"clocks": _clocks(places)}) if opening > moment else ALLOW


def allowed_until(case: Case) -> int | None:
    """When the next quiet hours of an admitted message begin, epoch milliseconds UTC; None: not before its deadline."""
    places = _places(case)
    return closes_at(places, case.now_ms, case.deadline) if places else None


def _places(case: Case) -> frozenset[Local] | None:
    """What must be open; empty: no hour is quiet for the message. None: what must be is not known."""
    quiet: QuietHours = case.config.quiet_hours
    if not case.category.quiet_hours or quiet.none_at_all:
        return frozenset()
    places = candidates(case.request.recipient, case.number.country, case.facts.profile)
    if places:
        return quiet.at(places)
    return None if quiet.anywhere is None else on_every_clock(quiet.anywhere)


@lru_cache(maxsize=1000)
def _clocks(places: frozenset[Local]) -> str:
    """Some of them, by name."""
    zones = sorted({place.zone for place in places})
    return ", ".join(zones[:3]) + (f" and {len(zones) - 3} more" if len(zones) > 3 else "")
