"""What dispatch writes into a message's story: one lifecycle event for the end of a message's stay here; and what an
error says about the person. Pure."""

from __future__ import annotations

from connectors.twilio.errors import ErrorPolicy
from schemas import ids
from schemas.reasons import Reason
from schemas.records import Attempt, Consent, Dispatch, LifecycleEvent, MessageStatus, Stage
from streams.consent.reports import reported


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


def told_by(result: Attempt, order: Dispatch) -> LifecycleEvent:
    """The event that follows a final RESULT; the same whoever tells it, however often."""
    assert result.final_status is not None, "only a final result is told"
    event = _ended(result, order, MessageStatus(result.final_status))
    event.sid = result.sid
    if result.sid is not None:
        event.segments = result.segments
    return event


def deferred_by(result: Attempt, order: Dispatch) -> LifecycleEvent:
    """The event of a message that goes back to policy, whether Twilio refused it or it was not sent at all."""
    event = _ended(result, order, MessageStatus.DEFERRED)
    event.until = result.follows_at
    return event


def told_of_person(result: Attempt, order: Dispatch, errors: ErrorPolicy) -> Consent | None:
    """What a RESULT says about the person, if anything; the same whoever tells it. What our own check of the
    parameters refused (no HTTP status) is Twilio's word about nobody."""
    if result.error_code is None or result.http_status is None:
        return None
    return reported(
        errors.classify(result.error_code, result.http_status),
        code=result.error_code,
        recipient=order.recipient,
        channel=order.channel,
        sender=order.sender,
        messaging_service_sid=order.messaging_service_sid,
        account=order.account,
        evidence=result.sid or result.request_id or f"{order.message_id}:{order.round}:{result.attempt}",
        at=result.at,
    )


def _ended(result: Attempt, order: Dispatch, status: MessageStatus) -> LifecycleEvent:
    event = ending(order, attempt=result.attempt, status=status, now_ms=result.at)
    event.reason = result.reason
    event.detail = result.error_message
    event.error_code = result.error_code
    event.error_class = result.error_class
    return event
