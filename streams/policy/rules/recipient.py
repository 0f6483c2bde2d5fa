"""Can the recipient's number take this channel?"""

from __future__ import annotations

from schemas.reasons import Reason
from schemas.records import Channel
from streams import numbers
from streams.policy.case import Case
from streams.policy.verdict import ALLOW, Deny, Verdict


def check(case: Case) -> Verdict:
    """Deny for what is no valid E.164 number, and for fixed lines on SMS and MMS (WhatsApp runs on them)."""
    number = numbers.look_up(case.request.recipient)
    if number is None:
        return Deny(
            Reason.INVALID_RECIPIENT,
            "recipient",
            "It is no valid phone number in E.164.",
            "Give plus, country code and number without spaces or channel prefix, such as +14155550123.",
        )
    if number.fixed_line and case.request.channel is not Channel.WHATSAPP:
        return Deny(
            Reason.LANDLINE_RECIPIENT,
            "recipient",
            f"The numbering plan of {number.country} has it as a fixed line.",
            "Give a mobile number.",
        )
    return ALLOW
