"""Does a repeat under the same key say the same?"""

from __future__ import annotations

from schemas.reasons import Reason
from streams.policy.case import Case
from streams.policy.idempotency import digest
from streams.policy.verdict import ALLOW, Deny, Verdict


def check(case: Case) -> Verdict:
    """Deny a request whose key was used for another content. Not for later rounds: there the request may have been
    made again from what was sent, or moved to another channel."""
    earlier = case.facts.earlier_digest
    if earlier is None or case.entry.round > 0 or earlier == digest(case.request):
        return ALLOW
    return Deny(
        Reason.IDEMPOTENCY_CONFLICT,
        "idempotency_key",
        "Another request to this person used the key for another content.",
        "Use a new key for a new message.",
    )
