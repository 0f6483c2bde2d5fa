"""What policy writes into a message's story: one lifecycle event per decision."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice

from schemas import ids
from schemas.limits import TAGS_MAX
from schemas.reasons import Reason
from schemas.records import Deferral, LifecycleEvent, MessageClass, MessageRequest, MessageStatus, Stage
from streams import numbers
from streams.rounds import FALLBACK_CHANNELS

from .case import Entry, Origin
from .config import PolicyConfig
from .decide import rule_version
from .verdict import Admitted, Decision, Denied

_TEXT_SHOWN = 256
"""What is denied may hold anything of any length, and the event must fit into a Kafka record; what is not denied is
within its limits (rule 'limits')."""


def tell(
    request: MessageRequest, entry: Entry, decision: Decision, source: Origin, config: PolicyConfig, now_ms: int
) -> LifecycleEvent:
    """The event for a decision on a record read at `source`."""
    message_id = entry.message_id
    status = _status(decision)
    denied = isinstance(decision, Denied)
    event = LifecycleEvent(
        event_id=ids.lifecycle_event_id(message_id, entry.round, None, Stage.POLICY, status),
        message_id=message_id,
        round=entry.round,
        stage=Stage.POLICY,
        status=status,
        at=now_ms,
        app=entry.app,
        recipient=_short(request.recipient) if denied else request.recipient,
        recipient_id=_short(request.recipient_id) if denied else request.recipient_id,
        channel=request.channel,
        category=_short(request.category) if denied else request.category,
        message_class=class_of(entry.app, request.category, config),
        rule_version=rule_version(config),
        requested_at=request.created_at,
        campaign=_short(request.campaign) if denied else request.campaign,
        tags=_short_tags(request.tags) if denied else request.tags,
        correlation_id=_short(request.correlation_id) if denied else request.correlation_id,
        idempotency_key=_short(request.idempotency_key) if denied else request.idempotency_key,
        source_topic=source.topic,
        source_partition=source.partition,
        source_offset=source.offset,
    )
    if isinstance(decision, Admitted):
        dispatch = decision.dispatch
        event.recipient_id = dispatch.recipient_id
        event.lane = dispatch.lane
        event.account = dispatch.account
        event.sender = dispatch.sender or dispatch.messaging_service_sid
        event.segments = dispatch.segments
        event.deadline = dispatch.deadline
        event.facts = dict(decision.facts)
        if dispatch.fallback_channels:
            event.facts[FALLBACK_CHANNELS] = ",".join(dispatch.fallback_channels)
        number = numbers.look_up(request.recipient)
        if number is not None:
            event.facts |= {"country": number.country, "encoding": dispatch.encoding.value}
    elif isinstance(decision, Denied):
        event.reason = decision.deny.reason
        event.detail = decision.deny.text()
        event.rule = decision.rule
        event.facts = dict(decision.facts)
    else:
        event.facts = dict(decision.facts)
        event.reason = decision.defer.reason
        event.rule = decision.rule
        event.until = decision.defer.until
        event.deadline = decision.deferral.deadline
    return event


def tell_repeat(told: LifecycleEvent, entry: Entry, source: Origin, now_ms: int) -> LifecycleEvent:
    """The event for a repeat under the same idempotency key: where the message stood when policy last decided on it. It
    changes nothing of what is known of the message; feedback tells its status once more."""
    return replace(
        told,
        event_id=ids.lifecycle_event_id(told.message_id, told.round, None, Stage.POLICY, f"repeat {entry.origin}"),
        at=now_ms,
        reason=Reason.REPEATED.value,
        detail=f"asked again; last told: {told.reason or told.status.value}",
        source_topic=source.topic,
        source_partition=source.partition,
        source_offset=source.offset,
    )


def tell_lost_request(deferral: Deferral, source: Origin, config: PolicyConfig, now_ms: int) -> LifecycleEvent:
    """The event for a message that came back from the wheel without its request: nobody can decide it."""
    return LifecycleEvent(
        event_id=ids.lifecycle_event_id(deferral.message_id, deferral.round, None, Stage.POLICY, MessageStatus.DENIED),
        message_id=deferral.message_id,
        round=deferral.round,
        stage=Stage.POLICY,
        status=MessageStatus.DENIED,
        at=now_ms,
        app=deferral.app,
        reason=Reason.INVALID_FIELD,
        detail="request: The deferral record holds no request. Replay the message from the app.",
        rule="wheel",
        rule_version=rule_version(config),
        deadline=deferral.deadline,
        source_topic=source.topic,
        source_partition=source.partition,
        source_offset=source.offset,
    )


def class_of(app: str, name: str, config: PolicyConfig) -> MessageClass | None:
    """Urgency of an app's messages of the category `name`; None where there is no such category."""
    category = config.categories.get(name)
    if category is None:
        return None
    grants = config.apps.get(app)
    return category.message_class if grants is None else grants.classes.get(category.name, category.message_class)


def _short(text: str | None) -> str | None:
    return text if text is None else text[:_TEXT_SHOWN]


def _short_tags(tags: dict[str, str]) -> dict[str, str]:
    return {key[:_TEXT_SHOWN]: value[:_TEXT_SHOWN] for key, value in islice(tags.items(), TAGS_MAX)}


def _status(decision: Decision) -> MessageStatus:
    if isinstance(decision, Admitted):
        return MessageStatus.ADMITTED
    if isinstance(decision, Denied):
        return MessageStatus.CANCELED if decision.deny.reason is Reason.CANCELED else MessageStatus.DENIED
    return MessageStatus.DEFERRED
