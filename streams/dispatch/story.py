"""What dispatch writes into a message's story: one lifecycle event for the end of a message's stay here."""

from __future__ import annotations

from connectors.twilio.answers import Accepted
from schemas import ids
from schemas.reasons import Reason
from schemas.records import Dispatch, LifecycleEvent, MessageStatus, Stage

from .verdict import Verdict


def ending(
    order: Dispatch,
    *,
    attempt: int | None,
    status: MessageStatus,
    now_ms: int,
    reason: Reason | None = None,
    detail: str | None = None,
) -> LifecycleEvent:
    """The event that ends a message's round in dispatch. A repeat carries the same id."""
    return LifecycleEvent(
        event_id=ids.lifecycle_event_id(order.message_id, order.round, attempt, Stage.DISPATCH, status),
        message_id=order.message_id,
        round=order.round,
        attempt=attempt,
        stage=Stage.DISPATCH,
        status=status,
        at=now_ms,
        app=order.app,
        recipient=order.recipient,
        recipient_id=order.recipient_id,
        channel=order.channel,
        category=order.category,
        message_class=order.message_class,
        lane=order.lane,
        account=order.account,
        sender=order.sender or order.messaging_service_sid,
        reason=reason.value if reason is not None else None,
        detail=detail,
        rule_version=order.rule_version,
        segments=order.segments,
        requested_at=order.requested_at,
        deadline=order.deadline,
        campaign=order.campaign,
        tags=order.tags,
        correlation_id=order.correlation_id,
    )


def told_by(verdict: Verdict, order: Dispatch, attempt: int, now_ms: int) -> LifecycleEvent:
    """The event for a final verdict on an attempt."""
    assert verdict.status is not None, "only a final verdict is told"
    event = ending(
        order,
        attempt=attempt,
        status=verdict.status,
        now_ms=now_ms,
        reason=verdict.reason,
        detail=verdict.detail,
    )
    if verdict.error is not None:
        event.error_code = verdict.error.code
        event.error_class = verdict.error.error_class.scope.value
    if isinstance(verdict.accepted, Accepted):
        event.sid = verdict.accepted.sid
        event.segments = verdict.accepted.num_segments or order.segments
    return event
