"""The next channel of a message that could not go by the last one.

The request itself says what is left: its `channel` is the one tried now, `fallback_channels` those after it. So a
deferral that carries the moved request carries everything, and every channel is asked of all rules, consent included.
"""

from __future__ import annotations

from dataclasses import replace

from schemas.reasons import Reason
from schemas.records import Channel, MessageRequest

from .config import PolicyConfig

OF_THE_CHANNEL = frozenset(
    {
        Reason.LANDLINE_RECIPIENT,
        Reason.UNSUPPORTED_CONTENT,
        Reason.INVALID_MEDIA,
        Reason.TOO_MANY_SEGMENTS,
        Reason.NO_SENDER,
        Reason.BACKLOG,
        Reason.WHATSAPP_WINDOW_CLOSED,
        Reason.WHATSAPP_MARKETING_REFUSED,
        Reason.WHATSAPP_DAILY_LIMIT,
        Reason.LANE_QUOTA_EXCEEDED,
    }
)
"""Denials that another channel may escape, beside those that say so themselves (`Deny.of_channel`): a number that takes
no texts may have WhatsApp. An opt-out is none: a person who said stop is not chased over channels."""


def next_request(request: MessageRequest, config: PolicyConfig) -> MessageRequest | None:
    """The request on its next channel, None when there is none left. It is asked at once: the moment to send has come.

    A hint at a sender or pool that cannot use that channel is dropped; the app's grants decide then.
    """
    if not request.fallback_channels:
        return None
    channel, *rest = request.fallback_channels
    return _on(request, channel, rest, config)


def as_wished(request: MessageRequest, wish: Channel | None, config: PolicyConfig) -> MessageRequest:
    """The request with the person's own channel first, where the app named it at all; the others stay in order. Hints
    as in `next_request`."""
    if wish is None or wish not in request.fallback_channels:
        return request
    rest = [request.channel, *(each for each in request.fallback_channels if each is not wish)]
    return _on(request, wish, rest, config)


def _on(request: MessageRequest, channel: Channel, rest: list[Channel], config: PolicyConfig) -> MessageRequest:
    sender = config.senders.get(request.sender or "")
    members = [config.senders[name] for name in config.pools.get(request.pool or "", ())]
    return replace(
        request,
        channel=channel,
        fallback_channels=rest,
        sender=request.sender if sender is not None and channel in sender.channels else None,
        pool=request.pool if any(channel in member.channels for member in members) else None,
    )
