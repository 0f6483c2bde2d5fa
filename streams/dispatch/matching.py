"""Which of the messages that Twilio lists are the ones whose answer was lost. Pure.

All open attempts to one person on one lane are matched together to messages that no RESULT has claimed. Equal texts are
interchangeable: it matters how many of them Twilio has, not which is whose.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from connectors.twilio.addresses import format_address
from connectors.twilio.answers import SentMessage
from schemas.records import Dispatch

CLOCKS_APART_MS = 60_000
"""An attempt may seem to be this much younger than its message: INTENTs carry our clock, messages Twilio's."""


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """An attempt without a RESULT.

    Attributes:
        owner: whatever the caller wants back.
        order: the message.
        intent_at: by Twilio's clock as far as known, epoch milliseconds.
    """

    owner: Any
    order: Dispatch
    intent_at: int


def match(
    open_attempts: Iterable[OpenAttempt], listed: Sequence[SentMessage], claimed: Container[str]
) -> list[tuple[OpenAttempt, SentMessage]]:
    """Pairs of an open attempt and the message that it made; attempts that made none are absent.

    Args:
        open_attempts: all open attempts to one person on one lane.
        listed: messages to that person.
        claimed: SIDs that belong to other attempts.
    """
    attempts = sorted(open_attempts, key=lambda attempt: attempt.intent_at)
    messages = sorted(
        (message for message in listed if message.sid not in claimed and _outbound(message)),
        key=lambda message: message.date_created_ms or 0,
    )
    pairs: list[tuple[OpenAttempt, SentMessage]] = []
    # First by the text itself; a text that Twilio may have rewritten takes what is left.
    for fits in (_same_text, _rewritten):
        for attempt in [each for each in attempts if all(each is not paired for paired, _ in pairs)]:
            for message in messages:
                if _same_road(attempt, message) and fits(attempt.order, message):
                    pairs.append((attempt, message))
                    messages.remove(message)
                    break
    return pairs


def _outbound(message: SentMessage) -> bool:
    return message.direction.startswith("outbound")


def _same_road(attempt: OpenAttempt, message: SentMessage) -> bool:
    created = message.date_created_ms
    if created is not None and created < attempt.intent_at - CLOCKS_APART_MS:
        return False
    order = attempt.order
    if order.messaging_service_sid is not None:
        return message.messaging_service_sid == order.messaging_service_sid
    return order.sender is not None and message.sender == format_address(order.channel, order.sender)


def _same_text(order: Dispatch, message: SentMessage) -> bool:
    return (
        order.content_sid is None
        and message.body == (order.body or "")
        and bool(order.media_urls) == (message.num_media > 0)
    )


def _rewritten(order: Dispatch, message: SentMessage) -> bool:
    """Twilio fills templates, shortens links and replaces characters; a messaging service may do so by its own
    setting."""
    return bool(
        order.content_sid is not None
        or order.shorten_urls
        or order.smart_encoding
        or order.messaging_service_sid is not None
    )
