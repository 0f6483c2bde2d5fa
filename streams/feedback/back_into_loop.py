"""What follows from a message that Twilio had accepted and that failed all the same: a fact about the person, trouble
of its sender or account, and another decision of policy's where one may help. Pure.

With a messaging service opt-outs (21610), full queues (30001) and refusals of WhatsApp come only this way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from connectors.twilio.errors import ErrorClass, ErrorPolicy, Retry, Scope, Suppress
from schemas import ids
from schemas.reasons import Reason
from schemas.records import (
    Channel,
    Consent,
    Control,
    ControlSubject,
    Deferral,
    LifecycleEvent,
    MessageStatus,
    Stage,
)
from streams import numbers
from streams.consent.reports import reported
from streams.control.day_caps import day_cap_reached, day_end_ms
from streams.control.switches import at_country
from streams.control.trouble import fix_for, trouble

FAILURES_MAX = 3
"""A message that failed so often is not tried again: every try may cost, and the person may have got it after all."""
BACKOFF_MS = 60_000
"""First wait of `backoff` after a callback, doubling: the channel has tried for a while itself."""
ONCE_MS = 15 * 60_000
"""Wait of `once` (30008: not before 15 minutes, ../reference/twilio.md §4)."""
LATER_MS = 3_600_000
"""Wait of `later`: a handset is off, a queue of ten hours is full."""
HELD_MS = 10 * 60_000
"""How long a sender or account is held after such a failure. That Twilio takes a message is no proof that the carrier
does, so the first message that is taken ends it, and failures begin it again."""

NO_BUDGETS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """The end of a message's last round, as Twilio told it.

    Attributes:
        message_id, round: of the message.
        times: rounds that ended so, this one included.
        latest: it is about the last attempt; an earlier one's failure says nothing of the message.
        status: failed or undelivered.
        code: Twilio's error code.
        at: when it was told, epoch milliseconds UTC.
        sid: of the message at Twilio.
        app: empty where only Twilio has told of the message.
        recipient, channel, lane, account, deadline: of the round; None where nobody said.
        sender: address, or SID of the messaging service; None where nobody said.
        fallback: channels are left to try.
    """

    message_id: str
    round: int
    times: int
    latest: bool
    status: MessageStatus
    code: int
    at: int
    sid: str
    app: str
    recipient: str | None
    channel: Channel | None
    lane: str | None
    account: str | None
    sender: str | None
    deadline: int | None
    fallback: bool

    @property
    def messaging_service_sid(self) -> str | None:
        """The messaging service that it was sent by, if one."""
        return self.sender if self.sender is not None and self.sender.startswith("MG") else None


@dataclass(frozen=True, slots=True)
class Consequences:
    """What must be written because of a failure; the same however often it is told.

    Attributes:
        consent: about the person.
        trouble: about the sender or account.
        deferral: for policy, without the request: policy remembers it.
        event: tells that the message goes on. Written after the others: it shows that they were.
    """

    consent: Consent | None = None
    trouble: Control | None = None
    deferral: Deferral | None = None
    event: LifecycleEvent | None = None


def consequences(failure: Failure, errors: ErrorPolicy, budgets: Mapping[str, str] = NO_BUDGETS) -> Consequences:
    """What follows from a failure; `budgets` names the brand's budget of the lanes that have one."""
    error = errors.classify(failure.code)
    deferral = _deferral(failure, error)
    return Consequences(
        consent=_consent(failure, error),
        trouble=_trouble(failure, error, budgets),
        deferral=deferral,
        event=None if deferral is None else _event(failure, deferral),
    )


def _consent(failure: Failure, error: ErrorClass) -> Consent | None:
    if failure.recipient is None:
        return None
    service = failure.messaging_service_sid
    return reported(
        error,
        code=failure.code,
        recipient=failure.recipient,
        channel=failure.channel or Channel.SMS,
        sender=None if service is not None else failure.sender,
        messaging_service_sid=service,
        account=failure.account,
        evidence=failure.sid,
        at=failure.at,
    )


def _trouble(failure: Failure, error: ErrorClass, budgets: Mapping[str, str]) -> Control | None:
    budget = None if failure.lane is None else budgets.get(failure.lane)
    if error.day_cap_of is not None and budget is not None:
        # The carrier refuses the whole brand, whichever of its senders: and nobody but this carrier does.
        capped = (budget, error.day_cap_of)
        return day_cap_reached(capped, code=failure.code, why=error.title, fix=error.action, at=failure.at)
    # One bad number of a messaging service must not hold all the others of its pool.
    fix = error.action
    if error.scope is Scope.SENDER and failure.lane is not None and failure.messaging_service_sid is None:
        kind, subject = ControlSubject.LANE, failure.lane
        country = None if failure.recipient is None else numbers.country_of(failure.recipient)
        if error.may_be_country and country is not None:
            subject, fix = at_country(subject, country), fix_for(country, fix)
    elif error.scope is Scope.ACCOUNT and failure.account is not None:
        kind, subject = ControlSubject.ACCOUNT, failure.account
    else:
        return None
    return trouble(
        kind,
        subject,
        code=failure.code,
        why=error.title,
        fix=fix,
        by=Stage.FEEDBACK,
        at=failure.at,
        until=failure.at + HELD_MS,
    )


def _deferral(failure: Failure, error: ErrorClass) -> Deferral | None:
    if not failure.latest or not failure.app or failure.recipient is None or failure.times > FAILURES_MAX:
        return None
    if error.opt_out or error.suppress is Suppress.ALL or error.scope is Scope.IN_DOUBT:
        return None
    if failure.fallback and (error.retry is Retry.ALT or error.suppress is Suppress.CHANNEL):
        reason, due_at = Reason.CHANNEL_FAILED, failure.at
    elif failure.fallback or failure.messaging_service_sid is not None:
        wait_ms = _wait_ms(error.retry, failure.times)
        if wait_ms is None:
            return None
        if error.day_cap_of is not None:
            wait_ms = max(wait_ms, day_end_ms(failure.at) - failure.at)
        undelivered = failure.status is MessageStatus.UNDELIVERED
        reason = Reason.UNDELIVERED if undelivered else Reason.FAILED_AT_TWILIO
        due_at = failure.at + wait_ms
    else:
        return None
    if failure.deadline is not None and due_at >= failure.deadline:
        return None
    return Deferral(
        message_id=failure.message_id,
        round=failure.round + 1,
        app=failure.app,
        due_at=due_at,
        reason=reason.value,
        by=Stage.FEEDBACK,
        deadline=failure.deadline,
        at=failure.at,
    )


def _wait_ms(retry: Retry, times: int) -> int | None:
    match retry:
        case Retry.BACKOFF:
            return BACKOFF_MS << (times - 1)
        case Retry.LATER:
            return LATER_MS
        case Retry.ONCE if times == 1:
            return ONCE_MS
        case _:
            return None


def _event(failure: Failure, deferral: Deferral) -> LifecycleEvent:
    return LifecycleEvent(
        event_id=ids.lifecycle_event_id(
            failure.message_id, failure.round, None, Stage.FEEDBACK, MessageStatus.DEFERRED
        ),
        message_id=failure.message_id,
        round=failure.round,
        stage=Stage.FEEDBACK,
        status=MessageStatus.DEFERRED,
        at=failure.at,
        app=failure.app,
        recipient=failure.recipient,
        reason=deferral.reason,
        until=deferral.due_at,
        error_code=failure.code,
    )
