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


def opens(case: Case, sender: Sender) -> bool:
    """Whether the message is a first word of a sender that may write so to a limited number of people a day."""
    return (
        sender.daily_people is not None
        and case.request.channel is Channel.WHATSAPP
        and window_end(case, sender) <= case.now_ms
    )


def may_open(case: Case, sender: Sender) -> bool:
    """Whether one more person may be written to first from this sender today (Twilio 63018).

    The limit counts people, and each belongs to one partition, which has its share of the limit. Somebody written to
    first within 24 h is among the counted already and takes no further place.
    """
    if sender.daily_people is None or not opens(case, sender):
        return True
    others = case.facts.opened.get(sender.name, 0)
    return others < share_of(sender.daily_people, case.entry.home or 0, case.config.partitions)


def share_of(limit: int, home: int, partitions: int) -> int:
    """What a partition may use of a limit on all people; the shares of all partitions are the limit."""
    return limit // partitions + (home < limit % partitions)
