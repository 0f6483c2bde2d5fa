"""Does the app ask for more than its quota?"""

from __future__ import annotations

from schemas.reasons import Reason
from streams.policy.case import Case
from streams.policy.verdict import ALLOW, Defer, Deny, Verdict


def check(case: Case) -> Verdict:
    """Deny when the quota of the day is used up; Defer to the request's turn when they come too fast, or Deny where
    that does not come before the deadline.

    Stands behind the rules that deny what is wrong in itself: that costs no quota and need not wait for its answer.
    """
    facts, name = case.facts, case.grants.name
    if facts.quota_day_over:
        return Deny(
            Reason.QUOTA_EXCEEDED,
            None,
            f"The app {name!r} used up its quota of this day, counted from 00:00 UTC.",
            f"Ask tomorrow, or raise `apps.{name}.quota.per_day`.",
        )
    turn = facts.quota_wait_until
    if turn is None or turn <= (case.request.not_before or 0):
        return ALLOW
    if turn >= case.deadline:
        return Deny(
            Reason.QUOTA_EXCEEDED,
            "deadline",
            f"The app {name!r} asks faster than its quota allows, and the request's turn comes after its deadline.",
            f"Ask more slowly, give a later deadline, or raise `apps.{name}.quota.per_second`.",
        )
    return Defer(turn, Reason.QUOTA_EXCEEDED)
