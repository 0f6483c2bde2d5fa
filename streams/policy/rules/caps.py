"""Does the person get too many messages of this kind, from all apps together?"""

from __future__ import annotations

from schemas.reasons import Reason
from streams.policy.case import Case
from streams.policy.config import Cap, OverCap
from streams.policy.quote import quote
from streams.policy.verdict import ALLOW, Defer, Deny, Verdict
from streams.policy.windows import room_at


def check(case: Case) -> Verdict:
    """Defer to the moment at which all caps have room again; Deny where a cap says so, and where that moment does not
    come before the deadline. What may not go before `not_before` is judged when it comes back then.

    A message counts from its admission on, whatever became of it. Its own earlier rounds do not count.
    """
    if (case.request.not_before or 0) > case.now_ms:
        return ALLOW
    full = [(room, cap) for cap in case.config.caps if (room := _room_at(cap, case)) > case.now_ms]
    if not full:
        return ALLOW
    for room, cap in full:
        if cap.over is OverCap.DENY:
            return _deny(case, cap, room, "Send less often, or let the cap say `over: defer`.")
    room, cap = max(full, key=lambda each: each[0])
    if room >= case.deadline:
        return _deny(case, cap, room, "Give a later deadline, or send less often.")
    return Defer(room, Reason.FREQUENCY_CAP, facts=_facts(case, cap, room))


def _room_at(cap: Cap, case: Case) -> int:
    """When the message may go as far as this cap is concerned."""
    if not cap.covers(case.request.category, case.request.channel):
        return case.now_ms
    counted = (past.at for past in case.facts.past if past.admitted and cap.covers(past.category, past.channel))
    return room_at(counted, at_most=cap.at_most, window_ms=cap.window_ms, moment=case.now_ms)


def _deny(case: Case, cap: Cap, room: int, fix: str) -> Deny:
    wait_s = -(-(room - case.now_ms) // 1000)
    return Deny(
        Reason.FREQUENCY_CAP,
        None,
        f"The person had {cap.at_most} under the cap {quote(cap.name)}; there is room in {wait_s} s.",
        fix,
        facts=_facts(case, cap, room),
    )


def _facts(case: Case, cap: Cap, room: int) -> dict[str, str]:
    counted = sum(past.admitted and cap.covers(past.category, past.channel) for past in case.facts.past)
    return {"cap": cap.name, "counted": str(counted), "room_at": str(room)}
