"""The request that an admitted message came from, made again from its dispatch record: what goes back to the wheel must
bring everything that the next decision needs.

What the app said about sender and schedule is not in the record. The sender is chosen anew (for one person it is the
same again, unless it can no longer be used), and the moment of sending has come; a message whose sender or pool the app
named is decided by the request that policy remembers. The idempotency key is not needed: the message keeps its id.
"""

from __future__ import annotations

from schemas.records import Content, Dispatch, MessageRequest


def request_of(order: Dispatch) -> MessageRequest:
    """The request, decided as before unless configuration or consent changed meanwhile."""
    return MessageRequest(
        recipient=order.recipient,
        category=order.category,
        content=Content(
            body=order.body,
            media_urls=order.media_urls,
            content_sid=order.content_sid,
            variables=order.content_variables,
        ),
        channel=order.channel,
        recipient_id=order.recipient_id,
        deadline=order.deadline,
        locale=order.locale,
        campaign=order.campaign,
        tags=order.tags,
        correlation_id=order.correlation_id,
        in_reply_to=order.in_reply_to,
        fallback_channels=order.fallback_channels,
        shorten_urls=order.shorten_urls,
        smart_encoding=order.smart_encoding,
        validity_period_s=order.validity_period_s,
        created_at=order.requested_at,
    )
