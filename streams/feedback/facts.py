"""What the log says about a message, in one form: events of our stages and Twilio's callbacks become facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.twilio.errors import ErrorPolicy
from schemas.reasons import Reason
from schemas.records import Callback, LifecycleEvent, MessageStatus, Stage
from streams.rounds import FALLBACK_CHANNELS

CALLBACK_STATUS: Mapping[str, MessageStatus] = {
    "accepted": MessageStatus.ACCEPTED,
    "scheduled": MessageStatus.SCHEDULED,
    "queued": MessageStatus.QUEUED,
    "sending": MessageStatus.SENDING,
    "sent": MessageStatus.SENT,
    "delivered": MessageStatus.DELIVERED,
    "read": MessageStatus.READ,
    "undelivered": MessageStatus.UNDELIVERED,
    "failed": MessageStatus.FAILED,
    "canceled": MessageStatus.CANCELED,
    # Deprecated by Twilio: some media of an MMS got through. What happened in the end is another callback's to say.
    "partially_delivered": MessageStatus.SENT,
}
"""Twilio's words for outbound messages (Message resource, `status`)."""

_CALLBACK_REASON = {
    MessageStatus.FAILED: Reason.FAILED_AT_TWILIO,
    MessageStatus.UNDELIVERED: Reason.UNDELIVERED,
    MessageStatus.CANCELED: Reason.CANCELED,
}

TRUST = {Stage.POLICY: 3, Stage.DISPATCH: 2}
"""Whose word counts when several say what a message is: who decided, who sent, anybody else (1), Twilio (0)."""
_ANYBODY, TWILIO = 1, 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing that somebody said about one round of a message.

    Attributes:
        message_id, round, attempt: what it is about.
        trust: whose word it is, see `TRUST`.
        status: state that the message had reached, by this fact alone.
        at: when, epoch milliseconds UTC.
        decision: policy said it; such a fact says everything about what the message is.
        about: what it says of the message as a whole: fields of StatusUpdate by name, absent ones left out.
        about_round: what it says of this round, likewise.
        segments: segments, and whose count it is: Twilio's outranks ours.
        price: price and unit.
        reason, detail, error_code, error_class, sid: of this step.
    """

    message_id: str
    round: int
    attempt: int | None
    trust: int
    status: MessageStatus
    at: int
    decision: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)
    about_round: Mapping[str, Any] = field(default_factory=dict)
    segments: int | None = None
    price: tuple[str, str] | None = None
    reason: str | None = None
    detail: str | None = None
    error_code: int | None = None
    error_class: str | None = None
    sid: str | None = None


_ABOUT = (
    "app",
    "recipient",
    "recipient_id",
    "category",
    "message_class",
    "campaign",
    "tags",
    "correlation_id",
    "idempotency_key",
    "requested_at",
)
_ABOUT_ROUND = ("channel", "lane", "account", "sender", "deadline")
_SHIPPED = ErrorPolicy()


def fact_of(record: LifecycleEvent | Callback, errors: ErrorPolicy = _SHIPPED) -> Fact:
    """The fact that a record of comms.lifecycle states. A callback with a status word that Twilio has not told us of
    still proves that Twilio accepted the message, and is taken as that."""
    return _of_event(record) if isinstance(record, LifecycleEvent) else _of_callback(record, errors)


def is_repeat(record: LifecycleEvent | Callback) -> bool:
    """The app asked again, and waits for an answer: nothing has changed, and yet the status is told once more."""
    return isinstance(record, LifecycleEvent) and record.stage is Stage.POLICY and record.reason == Reason.REPEATED


def is_known_word(callback: Callback) -> bool:
    """Whether we know this status word."""
    return callback.status.lower() in CALLBACK_STATUS


def _of_event(event: LifecycleEvent) -> Fact:
    return Fact(
        message_id=event.message_id,
        round=event.round,
        attempt=event.attempt,
        trust=TRUST.get(event.stage, _ANYBODY),
        status=event.status,
        at=event.at,
        decision=event.stage is Stage.POLICY,
        about=_present(event, _ABOUT),
        about_round=_present(event, _ABOUT_ROUND) | _fallback(event),
        segments=event.segments,
        reason=event.reason,
        detail=event.detail,
        error_code=event.error_code,
        error_class=event.error_class,
        sid=event.sid,
    )


def _fallback(event: LifecycleEvent) -> dict[str, str]:
    left = event.facts.get(FALLBACK_CHANNELS) if event.stage is Stage.POLICY else None
    return {FALLBACK_CHANNELS: left} if left else {}


def _of_callback(callback: Callback, errors: ErrorPolicy) -> Fact:
    status = CALLBACK_STATUS.get(callback.status.lower(), MessageStatus.ACCEPTED)
    error = errors.classify(callback.error_code) if callback.error_code is not None else None
    return Fact(
        message_id=callback.message_id,
        round=callback.round,
        attempt=callback.attempt,
        trust=TWILIO,
        status=status,
        at=callback.received_at,
        about=_present(callback, ("recipient",)),
        about_round=_present(callback, ("channel", "sender")),
        # A messaging service says "0" until it has chosen a sender.
        segments=callback.num_segments or None,
        price=(callback.price, callback.price_unit or "") if callback.price is not None else None,
        reason=_CALLBACK_REASON.get(status),
        detail=callback.error_message or (error.title if error is not None else None),
        error_code=callback.error_code,
        error_class=error.scope.value if error is not None else None,
        sid=callback.sid,
    )


def _present(record: LifecycleEvent | Callback, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name in names if (value := getattr(record, name)) not in (None, {}, "")}
