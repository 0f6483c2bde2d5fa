"""Is there an answer about the person, where the category requires one?"""

from __future__ import annotations

from schemas.reasons import Reason
from streams.policy.case import Case
from streams.policy.verdict import ALLOW, Defer, Deny, Verdict

LAST_TRY_MS = 2_000
"""The last question comes this long before the deadline: time for an answer, and for dispatch to send."""


def check(case: Case) -> Verdict:
    """Defer while customer data does not answer; Deny when there is no time left to ask again. What may not go before
    `not_before` needs no answer before."""
    again_at = case.facts.ask_again_at
    if again_at is None:
        return ALLOW
    last_try = case.deadline - LAST_TRY_MS
    if case.now_ms >= last_try:
        return Deny(
            Reason.PROFILE_UNAVAILABLE,
            None,
            f"Category {case.category.name!r} requires customer data, which did not answer until the deadline.",
            "Give a later deadline, or set `enrichment: optional` for the category.",
        )
    return Defer(min(max(again_at, case.request.not_before or 0), last_try), Reason.PROFILE_UNAVAILABLE)
