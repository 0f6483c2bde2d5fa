"""Is there a sender, and do hints name one that the app may use?"""

from __future__ import annotations

from streams.policy import senders
from streams.policy.case import Case
from streams.policy.verdict import ALLOW, Deny, Verdict


def check(case: Case) -> Verdict:
    """Deny when no sender can be chosen; the choice itself is `senders.choose`, the same every time."""
    choice = senders.choose(case)
    return choice if isinstance(choice, Deny) else ALLOW
