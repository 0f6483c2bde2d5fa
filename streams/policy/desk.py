"""What is done with one record in policy, from its bytes to the moment it is finished."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from connectors.kafka.intake import Intake
from connectors.kafka.origin import headers_of, origin_of, republish_to_right_partition
from connectors.kafka.partitioning import partition_of
from connectors.kafka.publisher import DurablePublisher
from schemas.codec import Codec
from schemas.reasons import Reason
from schemas.records import Cancellation, Deferral, LifecycleEvent, MessageRequest
from schemas.topics import CANCELLATIONS, LIFECYCLE, app_of, deferral_topic, dispatch_topic, is_urgent

from . import metrics
from .cancellations import passed_on
from .case import Entry, Origin, message_id_of
from .config import PolicyConfig
from .decide import decide
from .numbers import E164
from .story import tell, tell_lost_request
from .verdict import Admitted, Decision, Denied, Deny
from .wheel import SHORTEST_MS, TIER_OF_TOPIC, tier_for

TRACEPARENT = "traceparent"
"""Header of the W3C trace context."""
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class HoldUntil:
    """Serve the record again at this moment, epoch milliseconds UTC; it is unfinished till then."""

    moment: int


@dataclass(frozen=True, slots=True)
class TakeTurnAs:
    """Serve the record again when it is this recipient's turn: its own key named somebody else."""

    key: bytes


class Desk:
    """Serves one record of a recipient at a time; the stage sees to that.

    Args:
        may_act: asked with the event before whatever is decided or published; False: the record is another owner's by
            now. No await lies between its answer and the act.
    """

    def __init__(
        self,
        config: PolicyConfig,
        *,
        intake: Intake,
        codec: Codec,
        publisher: DurablePublisher,
        partitions: int,
        now_ms: Callable[[], int],
        may_act: Callable[[Any], Awaitable[bool]],
    ) -> None:
        self._config = config
        self._intake = intake
        self._codec = codec
        self._publisher = publisher
        self._partitions = partitions
        self._now_ms = now_ms
        self._may_act = may_act

    async def serve(self, event: Any, turn: object) -> HoldUntil | TakeTurnAs | None:
        """Decide on a record, write that down, finish it. `turn` is the key under which it has its turn. Returns what
        else must happen before that, if anything."""
        message = event.message
        if message.topic in TIER_OF_TOPIC:
            deferral = await self._intake.read(message, (Deferral,))
            if deferral is None:
                event.ack()
                return None
            assert isinstance(deferral, Deferral)
            return await self._serve_returned(event, deferral)
        record = await self._intake.read(message, (MessageRequest, Cancellation))
        if record is None:
            event.ack()
            return None
        assert isinstance(record, MessageRequest | Cancellation)
        return await self._serve_new(event, record, turn)

    # What apps write --------------------------------------------------------------------------------------------------

    async def _serve_new(self, event: Any, record: MessageRequest | Cancellation, turn: object) -> TakeTurnAs | None:
        message = event.message
        app = app_of(message.topic)
        assert app is not None, "agents are registered for request topics only"
        # What is no number is denied wherever it lies: it has no place of its own. Neither has what an unknown app
        # wrote, whose topic is not ours to write to.
        if app in self._config.apps and E164.fullmatch(record.recipient) is not None:
            recipient = record.recipient.encode()
            if partition_of(recipient, self._partitions) != message.partition:
                await self._put_right(event, recipient)
                return None
            if turn != recipient:
                return TakeTurnAs(recipient)
        if isinstance(record, Cancellation):
            await self._pass_on(event, record, app)
            return None
        origin = Origin(*origin_of(message))
        entry = Entry(
            message_id=message_id_of(record, app, origin),
            app=app,
            origin=origin,
            urgent=is_urgent(message.topic),
            traceparent=_traceparent(message),
        )
        await self._decide(event, record, entry, "urgent" if entry.urgent else "normal")
        return None

    async def _put_right(self, event: Any, recipient: bytes) -> None:
        if not await self._may_act(event):
            return
        await republish_to_right_partition(self._publisher, event.message, key=recipient, partitions=self._partitions)
        metrics.republished.inc()
        event.ack()

    async def _pass_on(self, event: Any, cancellation: Cancellation, app: str) -> None:
        message = event.message
        passed = passed_on(cancellation, app, self._config)
        if isinstance(passed, Deny):
            await self._intake.dead(
                message,
                reason=passed.reason,
                detail=passed.detail,
                field=passed.field,
                fix=passed.fix,
                app=app,
                message_id=cancellation.message_id,
            )
        else:
            if not await self._may_act(event):
                return
            await self._publisher.publish(
                CANCELLATIONS,
                self._codec.encode(passed),
                key=passed.recipient.encode(),
                headers=_trace_headers(_traceparent(message)),
            )
            metrics.cancellations.inc()
        event.ack()

    # What comes back from the wheel -----------------------------------------------------------------------------------

    async def _serve_returned(self, event: Any, deferral: Deferral) -> HoldUntil | None:
        message = event.message
        remaining_ms = deferral.due_at - self._now_ms()
        if remaining_ms >= SHORTEST_MS:
            await self._hop(event, tier_for(remaining_ms))
            return None
        if remaining_ms > 0:
            return HoldUntil(deferral.due_at)
        if deferral.request is None:
            await self._give_up(event, deferral)
            return None
        entry = Entry(
            message_id=deferral.message_id,
            app=deferral.app,
            origin=_origin_of(deferral, message),
            round=deferral.round,
            deadline=deferral.deadline,
            traceparent=_traceparent(message),
        )
        metrics.lateness.observe(-remaining_ms / 1000)
        await self._decide(event, deferral.request, entry, "deferred")
        return None

    async def _hop(self, event: Any, tier: str) -> None:
        message = event.message
        if not await self._may_act(event):
            return
        await self._publisher.publish(deferral_topic(tier), message.value, key=message.key, headers=headers_of(message))
        metrics.hops(tier).inc()
        event.ack()

    async def _give_up(self, event: Any, deferral: Deferral) -> None:
        message = event.message
        if not await self._may_act(event):
            return
        told = tell_lost_request(deferral, _place_of(message), self._config, self._now_ms())
        await self._tell(told, _traceparent(message))
        await self._intake.dead(
            message,
            reason=Reason.INVALID_FIELD,
            detail="the deferral holds no request",
            field="request",
            app=deferral.app,
            message_id=deferral.message_id,
        )
        event.ack()

    # Decisions --------------------------------------------------------------------------------------------------------

    async def _decide(self, event: Any, request: MessageRequest, entry: Entry, kind: str) -> None:
        if not await self._may_act(event):
            return
        message = event.message
        now_ms = self._now_ms()
        decision = decide(request, entry, self._config, now_ms)
        metrics.decision_seconds(kind).observe(max(0.0, now_ms / 1000 - message.timestamp))
        await self._carry_out(decision, entry, request)
        if not await self._may_act(event):
            return
        await self._tell(tell(request, entry, decision, _place_of(message), self._config, now_ms), entry.traceparent)
        self._count(decision, entry.app)
        event.ack()

    async def _carry_out(self, decision: Decision, entry: Entry, request: MessageRequest) -> None:
        headers = _trace_headers(entry.traceparent)
        if isinstance(decision, Admitted):
            dispatch = decision.dispatch
            await self._publisher.publish(
                dispatch_topic(dispatch.message_class),
                self._codec.encode(dispatch),
                key=dispatch.message_id.encode(),
                partition=decision.partition,
                headers=headers,
            )
        elif not isinstance(decision, Denied):
            deferral = decision.deferral
            await self._publisher.publish(
                deferral_topic(tier_for(deferral.due_at - self._now_ms())),
                self._codec.encode(deferral),
                key=request.recipient.encode(),
                headers=headers,
            )

    async def _tell(self, told: LifecycleEvent, traceparent: str | None) -> None:
        await self._publisher.publish(
            LIFECYCLE, self._codec.encode(told), key=told.message_id.encode(), headers=_trace_headers(traceparent)
        )

    def _count(self, decision: Decision, app: str) -> None:
        app = app if app in self._config.apps else "unknown"
        if isinstance(decision, Admitted):
            metrics.decided(app, "admitted", "").inc()
        elif isinstance(decision, Denied):
            metrics.decided(app, "denied", decision.deny.reason).inc()
        else:
            metrics.decided(app, "deferred", decision.defer.reason).inc()


def _place_of(message: Any) -> Origin:
    return Origin(message.topic, message.partition, message.offset)


def _origin_of(deferral: Deferral, message: Any) -> Origin:
    try:
        return Origin.parse(deferral.origin or "")
    except ValueError:
        return _place_of(message)


def _traceparent(message: Any) -> str | None:
    for name, value in message.headers or ():
        if name == TRACEPARENT and value is not None:
            text: str = value.decode("ascii", "replace")
            return text if _TRACEPARENT.fullmatch(text) else None
    return None


def _trace_headers(traceparent: str | None) -> list[tuple[str, bytes]]:
    return [] if traceparent is None else [(TRACEPARENT, traceparent.encode())]
