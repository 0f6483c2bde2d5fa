"""May this be said on WhatsApp to this person now?"""

from __future__ import annotations

import re

from schemas.reasons import Reason
from schemas.records import Channel
from streams.policy import senders
from streams.policy.case import Case
from streams.policy.quote import quote
from streams.policy.verdict import ALLOW, Defer, Deny, Verdict
from streams.policy.whatsapp import WINDOW_CLOSED, needs_window, window_end

MARKETING = "marketing"
INBOUND_MAY_BE_BEHIND_MS = 1_000
"""An app is told of a message by feedback and may answer before policy has read it: a few milliseconds, as a rule."""
_GAP = re.compile(r" {5}")  # Twilio 63013


def check(case: Case) -> Verdict:
    """Deny marketing to +1, free text outside the window of every sender, and variables that WhatsApp refuses. A reply
    outside the window is looked at once more a second later."""
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
    return _not_written(case)


def _not_written(case: Case) -> Verdict:
    """A reply proves that the person wrote: what they wrote may be on its way here, by another topic."""
    looks_again_at = case.now_ms + INBOUND_MAY_BE_BEHIND_MS
    waited = case.entry.waited_for == Reason.WHATSAPP_WINDOW_CLOSED
    if case.request.in_reply_to is None or waited or looks_again_at >= case.deadline:
        return WINDOW_CLOSED
    return Defer(looks_again_at, Reason.WHATSAPP_WINDOW_CLOSED)
