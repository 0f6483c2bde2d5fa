"""WhatsApp's customer-service window: free text only within 24 h after the person last wrote to that sender.

Source: Twilio, error 63016. The window belongs to one sender of ours, so it decides with the choice of the sender.
"""

from __future__ import annotations

from schemas.reasons import Reason
from schemas.records import Channel

from .case import Case
from .config import Sender
from .verdict import Deny

WINDOW_MS = 24 * 3_600_000
"""Length of the window after an inbound message."""
WINDOW_CLOSED = Deny(
    Reason.WHATSAPP_WINDOW_CLOSED,
    "content",
    "The person did not write to any sender of the app within 24 h, so that only an approved template may go out.",
    "Give the `content_sid` of a Content template that WhatsApp approved, or use another channel.",
)


def address_of(sender: Sender) -> str | None:
    """The sender as Twilio writes it where people answer; None for a messaging service, whose numbers are its own."""
    if sender.address is None:
        return None
    return f"whatsapp:{sender.address}" if Channel.WHATSAPP in sender.channels else sender.address


def window_end(case: Case, sender: Sender) -> int:
    """Until when free text may go to the person from this sender, epoch milliseconds UTC; 0 when they never wrote."""
    address = address_of(sender)
    written = case.facts.last_inbound.get(address) if address is not None else None
    return 0 if written is None else written + WINDOW_MS


def needs_window(case: Case) -> bool:
    """Whether the content may go out only within the window: everything but a Content template that WhatsApp approved.
    Templates of our own are free text to WhatsApp. A SID that is not declared here is taken for approved."""
    if case.request.channel is not Channel.WHATSAPP:
        return False
    sid = case.request.content.content_sid
    if sid is None:
        return True
    declared = case.config.content_templates.get(sid.lower())
    return declared is not None and not declared.approved


def may_open(case: Case, sender: Sender) -> bool:
    """Whether one more person may be written to first from this sender today (Twilio 63018).

    The limit counts people. Each person belongs to one partition, so the count of a partition needs no other process;
    it may use its even share of the limit, rounded up. Somebody written to within 24 h counts once.
    """
    limit = sender.daily_people
    if limit is None or window_end(case, sender) > case.now_ms:
        return True
    since = case.now_ms - WINDOW_MS
    if any(past.admitted and past.sender == sender.name and past.at > since for past in case.facts.past):
        return True
    return case.facts.opened.get(sender.name, 0) < -(-limit // case.config.partitions)
