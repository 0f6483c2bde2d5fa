"""The order of a message's states: a strict total one, so that any order, repetition or loss of facts converges."""

from __future__ import annotations

from schemas.records import MessageStatus

ORDER: tuple[MessageStatus, ...] = (
    # Ours, before anything left. Policy decides once for a round, so a denial beside an admission is the later word:
    # that of dispatch's last look.
    MessageStatus.ADMITTED,
    MessageStatus.DEFERRED,
    MessageStatus.DENIED,
    MessageStatus.EXPIRED,
    MessageStatus.UNKNOWN,
    # Twilio has it.
    MessageStatus.ACCEPTED,
    MessageStatus.SCHEDULED,
    MessageStatus.QUEUED,
    MessageStatus.SENDING,
    MessageStatus.SENT,
    # It has ended. Nobody heard how; taken back; not handed over; handed over but not taken; taken; seen.
    MessageStatus.UNRESOLVED,
    MessageStatus.CANCELED,
    MessageStatus.FAILED,
    MessageStatus.UNDELIVERED,
    MessageStatus.DELIVERED,
    MessageStatus.READ,
)
"""All states, the weakest first. Of the facts of one round, the strongest is its state."""

RANK = {status: rank for rank, status in enumerate(ORDER)}

FINAL = frozenset(
    {
        MessageStatus.DENIED,
        MessageStatus.EXPIRED,
        MessageStatus.UNKNOWN,
        MessageStatus.UNRESOLVED,
        MessageStatus.CANCELED,
        MessageStatus.FAILED,
        MessageStatus.UNDELIVERED,
        MessageStatus.DELIVERED,
        MessageStatus.READ,
    }
)
"""States after which nothing is expected any more, but a read or a correction."""
