"""Did the app ask for a later moment?"""

from __future__ import annotations

from schemas.reasons import Reason
from streams.policy.case import Case
from streams.policy.verdict import ALLOW, Defer, Verdict


def check(case: Case) -> Verdict:
    """Defer until not_before. Comes last: what would be denied anyway is denied at once."""
    not_before = case.request.not_before
    if not_before is not None and not_before > case.now_ms:
        return Defer(not_before, Reason.NOT_BEFORE)
    return ALLOW
