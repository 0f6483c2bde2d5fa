"""What is written of a decision: what it puts on Kafka, and what is remembered of it. Pure."""

from __future__ import annotations

from connectors.values import value
from schemas.codec import Codec, SingleObjectCodec
from schemas.errors import DecodeError
from schemas.records import MessageClass, MessageRequest, PolicyDecision, PolicyOutcome
from schemas.topics import deferral_topic, dispatch_topic
from streams.rounds import URGENT_HEADERS

from .case import Entry, Origin
from .config import PolicyConfig
from .idempotency import digest, stamp
from .story import class_of, tell
from .verdict import Admitted, Decision, Deferred
from .wheel import tier_for

REQUEST_KEPT_BYTES = 200_000
"""A larger request is not remembered beside its dispatch record: both together must fit into one Kafka record."""


@value
class Published:
    """What a decision puts on Kafka beside its lifecycle event."""

    topic: str
    partition: int | None
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


@value
class Outcome:
    """A decision, when it was made (epoch milliseconds UTC), and what is published of it."""

    decision: Decision
    at: int
    published: Published | None
    told: bytes


class Writing:
    """See the module.

    Args:
        codec: of the topics; what is remembered is in single-object encoding inside.
    """

    def __init__(self, config: PolicyConfig, codec: Codec) -> None:
        self._config = config
        self._codec = codec
        self._inner = SingleObjectCodec()

    def outcome(self, decision: Decision, request: MessageRequest, entry: Entry, place: Origin, now_ms: int) -> Outcome:
        """What a decision on a record read at `place` puts on Kafka."""
        event = tell(request, entry, decision, place, self._config, now_ms)
        published = self._published(decision, request, entry.app, now_ms)
        return Outcome(decision, now_ms, published, self._codec.encode(event))

    def kept(
        self,
        made: Outcome,
        request: MessageRequest,
        entry: Entry,
        earlier: PolicyDecision | None,
        asked: MessageRequest,
    ) -> PolicyDecision:
        """What is remembered of it, in place of the decision before it. `asked`: the request as the app made it."""
        decision, published, now_ms = made.decision, made.published, made.at
        until, deadline, on_service = now_ms, None, False
        # It counts for caps from its last admission on, whatever a later round decides; its lane was paid for then.
        admitted_at = earlier.admitted_at if earlier is not None else None
        sender = earlier.sender if earlier is not None else None
        if isinstance(decision, Admitted):
            outcome, deadline, admitted_at = PolicyOutcome.ADMITTED, decision.dispatch.deadline, now_ms
            sender, on_service = decision.dispatch.lane, decision.dispatch.messaging_service_sid is not None
            until = deadline
        elif isinstance(decision, Deferred):
            outcome, deadline, until = PolicyOutcome.DEFERRED, decision.deferral.deadline, decision.deferral.due_at
        else:
            outcome = PolicyOutcome.DENIED
        # Later rounds may bring another request (moved to another channel, made again from what was sent): what the app
        # repeats is its first.
        first_digest = earlier.digest if earlier is not None else None
        if earlier is None:
            first_digest = stamp(entry.written_at) if request.idempotency_key is None else digest(asked)
        # A callback of a messaging service may bring the message back, and so may a channel that is left. The sender
        # that the app asked for is in no dispatch record, and the message must not come back and leave by another.
        hinted = request.sender is not None or request.pool is not None
        may_return = outcome is PolicyOutcome.ADMITTED and (on_service or hinted or bool(request.fallback_channels))
        return PolicyDecision(
            message_id=entry.message_id,
            round=entry.round,
            outcome=outcome,
            at=now_ms,
            app=entry.app,
            category=request.category[:256],
            channel=request.channel,
            sender=sender,
            admitted_at=admitted_at,
            origin=str(entry.origin),
            digest=first_digest,
            forget_at=max(until, now_ms) + self._config.remember_ms,
            topic=published.topic if published is not None else None,
            partition=published.partition if published is not None else None,
            published=published.value if published is not None else None,
            told=made.told,
            request=self._request_bytes(request) if may_return else None,
            deadline=deadline,
        )

    def request_of(self, decision: PolicyDecision) -> MessageRequest | None:
        """The request that was kept with a decision, if any was."""
        if decision.request is None:
            return None
        try:
            request = self._inner.decode(decision.request)
        except DecodeError:
            return None
        return request if isinstance(request, MessageRequest) else None

    def wheel_headers(self, app: str, category: str) -> tuple[tuple[str, bytes], ...]:
        """What a record of the wheel says outside of its value."""
        return URGENT_HEADERS if class_of(app, category, self._config) is MessageClass.CRITICAL else ()

    def _published(self, decision: Decision, request: MessageRequest, app: str, now_ms: int) -> Published | None:
        if isinstance(decision, Admitted):
            order = decision.dispatch
            topic = dispatch_topic(order.message_class)
            return Published(topic, decision.partition, order.message_id.encode(), self._codec.encode(order))
        if isinstance(decision, Deferred):
            deferral = decision.deferral
            topic = deferral_topic(tier_for(deferral.due_at - now_ms))
            headers = self.wheel_headers(app, request.category)
            return Published(topic, None, request.recipient.encode(), self._codec.encode(deferral), headers)
        return None

    def _request_bytes(self, request: MessageRequest) -> bytes | None:
        data = self._inner.encode(request)
        return data if len(data) <= REQUEST_KEPT_BYTES else None
