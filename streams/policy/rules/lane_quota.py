"""Does the app take more of the chosen lane than its quota there?"""

from __future__ import annotations

from schemas.reasons import Reason
from streams.policy import senders
from streams.policy.case import Case
from streams.policy.config import Sender
from streams.policy.quote import quote
from streams.policy.verdict import ALLOW, Defer, Deny, Verdict


def check(case: Case) -> Verdict:
    """Defer to the message's turn on its lane; Deny where that does not come before the deadline. A lane whose day is
    used up is not chosen at all (`senders`). What may not go before `not_before` is judged when it comes back then."""
    choice = senders.choose(case)
    if not isinstance(choice, Sender) or (case.request.not_before or 0) > case.now_ms:
        return ALLOW
    turn = case.facts.lane_turns.get(choice.lane)
    if turn is None or turn.wait_until is None:
        return ALLOW
    if turn.wait_until >= case.deadline:
        return Deny(
            Reason.LANE_QUOTA_EXCEEDED,
            "deadline",
            f"The app {case.grants.name!r} uses lane {quote(choice.lane)} faster than its quota there allows, and the "
            "message's turn comes after its deadline.",
            f"Ask more slowly, give a later deadline, or raise `apps.{case.grants.name}.quota.lanes.{choice.lane}`.",
            facts={"lane": choice.lane},
        )
    return Defer(turn.wait_until, Reason.LANE_QUOTA_EXCEEDED, charges=choice.lane, facts={"lane": choice.lane})
