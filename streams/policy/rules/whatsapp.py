"""May this be said on WhatsApp to this person now?"""

from __future__ import annotations

import re

from schemas.reasons import Reason
from schemas.records import Channel
from streams.policy import senders
from streams.policy.case import Case
from streams.policy.quote import quote
from streams.policy.verdict import ALLOW, Deny, Verdict
from streams.policy.whatsapp import WINDOW_CLOSED, needs_window, window_end

MARKETING = "marketing"
_GAP = re.compile(r" {5}")  # Twilio 63013


def check(case: Case) -> Verdict:
    """Deny marketing to +1, free text outside the window of every sender, and variables that WhatsApp refuses."""
    if case.request.channel is not Channel.WHATSAPP:
        return ALLOW
    if case.category.message_intent == MARKETING and case.request.recipient.startswith("+1"):
        return Deny(
            Reason.WHATSAPP_MARKETING_REFUSED,
            "channel",
            "WhatsApp delivers no marketing to +1 numbers (63049).",
            "Use another channel.",
        )
    for name, value in case.request.content.variables.items():
        if _GAP.search(value):
            return Deny(
                Reason.INVALID_VARIABLES,
                "content.variables",
                f"The variable {quote(name)} holds more than 4 spaces in a row (63013).",
                "Give at most 4.",
            )
    if not needs_window(case):
        return ALLOW
    able = senders.able(case)
    if isinstance(able, Deny) or any(window_end(case, sender) > case.now_ms for sender in able):
        return ALLOW  # what is wrong with the senders is for their own rule to say
    return WINDOW_CLOSED
