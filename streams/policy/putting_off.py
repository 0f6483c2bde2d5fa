"""Sends a record round by the wheel undecided: more of its person's records wait than may.

A request is wrapped as it is, in round 0 and with its origin; what is on the wheel already is passed on unchanged. A
copy that a crash leaves behind is met like any record that is delivered twice (`rounds.meet`).
"""

from __future__ import annotations

from typing import Any

from connectors.kafka.origin import headers_of, origin_of, time_headers, written_at
from connectors.kafka.partitioning import partition_of
from schemas.reasons import Reason
from schemas.records import Cancellation, Deferral, MessageRequest, Stage
from schemas.topics import app_of, deferral_topic, is_urgent
from streams.numbers import E164
from streams.rounds import URGENT_HEADERS

from . import metrics
from .case import Origin, message_id_of
from .surroundings import Surroundings
from .trace import trace_headers, traceparent_of
from .wheel import COMES_AGAIN_HEADER, TIER_OF_TOPIC, tier_for


class PuttingOff:
    """All methods belong to the stage's event loop."""

    def __init__(self, world: Surroundings) -> None:
        self._config = world.config
        self._intake = world.intake
        self._codec = world.codec
        self._publisher = world.publisher
        self._partitions = world.partitions
        self._now_ms = world.now_ms
        self._may_act = world.may_act

    async def put_off(self, event: Any, until: int) -> bool:
        """Let a record come again at this moment (epoch milliseconds UTC), and finish it. False: it is nothing that
        could wait on the wheel, and must be served here."""
        message = event.message
        if message.topic in TIER_OF_TOPIC:
            value = message.value
            headers = [header for header in headers_of(message) if header[0] != COMES_AGAIN_HEADER]
        else:
            record = await self._intake.read(message, (MessageRequest, Cancellation))
            if record is None:
                event.ack()
                return True
            if not isinstance(record, MessageRequest) or not self._is_at_home(record, message):
                return False
            value = self._codec.encode(self._wrapped(record, message, until))
            headers = trace_headers(traceparent_of(message))
            if record.idempotency_key is None:
                headers += time_headers(written_at(message))
            if is_urgent(message.topic):
                headers += URGENT_HEADERS
        if not await self._may_act(event):
            return True
        headers.append((COMES_AGAIN_HEADER, str(until).encode()))
        topic = deferral_topic(tier_for(until - self._now_ms()))
        await self._publisher.publish(topic, value, key=message.key, headers=headers)
        metrics.put_off.inc()
        event.ack()
        return True

    def _is_at_home(self, request: MessageRequest, message: Any) -> bool:
        """It lies under its person's key and in their partition, and its app is known; others are denied, or written
        where they belong."""
        key: bytes = message.key
        return (
            app_of(message.topic) in self._config.apps
            and request.recipient.encode() == key
            and E164.fullmatch(request.recipient) is not None
            and partition_of(key, self._partitions) == message.partition
        )

    def _wrapped(self, request: MessageRequest, message: Any, until: int) -> Deferral:
        app, origin = app_of(message.topic), Origin(*origin_of(message))
        assert app is not None
        return Deferral(
            message_id=message_id_of(request, app, origin),
            round=0,
            app=app,
            due_at=until,
            reason=Reason.MANY_AT_ONCE.value,
            by=Stage.POLICY,
            request=request,
            origin=str(origin),
            at=self._now_ms(),
        )
