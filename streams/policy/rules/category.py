"""Is the category known, and may the app send it?"""

from __future__ import annotations

from schemas.reasons import Reason
from streams.policy.case import Case
from streams.policy.quote import quote
from streams.policy.verdict import ALLOW, Deny, Verdict


def check(case: Case) -> Verdict:
    """Deny for a category that is not configured or not granted to the app."""
    name = case.request.category
    if name not in case.config.categories:
        return Deny(
            Reason.UNKNOWN_CATEGORY,
            "category",
            f"No category {quote(name)} is configured.",
            f"Use one of those granted to the app: {_granted(case)}.",
        )
    if name not in case.grants.categories:
        return Deny(
            Reason.CATEGORY_NOT_GRANTED,
            "category",
            f"The app {case.grants.name!r} may not send {quote(name)}.",
            f"Grant it under `apps`, or use one of: {_granted(case)}.",
        )
    return ALLOW


def _granted(case: Case) -> str:
    return ", ".join(sorted(case.grants.categories)) or "none is granted"
