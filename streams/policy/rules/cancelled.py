"""Did the app take the message back?"""

from __future__ import annotations

from schemas.reasons import Reason
from streams.policy.case import Case
from streams.policy.verdict import ALLOW, Deny, Verdict


def check(case: Case) -> Verdict:
    """Deny what its app cancelled before it was admitted. Later than that it is for dispatch, right up to the POST."""
    if not case.facts.cancelled:
        return ALLOW
    return Deny(Reason.CANCELED, None, "The app cancelled it.", "Nothing is to be done.")
