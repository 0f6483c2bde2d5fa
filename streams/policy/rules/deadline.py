"""Is there still time to send it, and is the deadline near enough to be meant?"""

from __future__ import annotations

from schemas.reasons import Reason
from streams.policy.case import Case
from streams.policy.verdict import ALLOW, Deny, Verdict

DEADLINE_MAX_MS = 72 * 3_600_000
"""Dispatch topics keep records for 4 days; a message must be final before that."""

NOT_BEFORE_MAX_MS = 400 * 24 * 3_600_000
"""A message waits for a year and some weeks. Its cancellation is remembered for longer (`memory`), and the calendar of
quiet hours knows every day of it."""


def check(case: Case) -> Verdict:
    """Deny what is too late, could never be sent, or might outlive the topics."""
    deadline = case.deadline
    not_before = case.request.not_before
    if not_before is not None and not_before - case.now_ms > NOT_BEFORE_MAX_MS:
        return Deny(
            Reason.INVALID_FIELD,
            "not_before",
            f"It lies {(not_before - case.now_ms) // 86_400_000} days ahead.",
            f"Give a moment within {NOT_BEFORE_MAX_MS // 86_400_000} days, in epoch milliseconds UTC.",
        )
    if deadline <= case.now_ms:
        by = "its deadline" if case.request.deadline is not None else f"the deadline of {case.category.name!r}"
        return Deny(
            Reason.DEADLINE_PASSED,
            "deadline",
            f"The message came {(case.now_ms - deadline) / 1000:.1f} s after {by}.",
            "Check created_at and deadline (epoch milliseconds UTC), or ask again.",
        )
    if not_before is not None and deadline <= not_before:
        return Deny(
            Reason.INVALID_FIELD,
            "deadline",
            "The deadline does not lie after not_before, so there is no moment to send.",
            "Move one of them, or leave the deadline out.",
        )
    if deadline - case.earliest > DEADLINE_MAX_MS:
        return Deny(
            Reason.DEADLINE_TOO_FAR,
            "deadline",
            f"The deadline lies {(deadline - case.earliest) / 3_600_000:.1f} h after the earliest moment to send.",
            "Give at most 72 h, or leave it out.",
        )
    return ALLOW
