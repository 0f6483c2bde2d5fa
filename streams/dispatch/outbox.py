"""What dispatch writes for others to read: the end of each message's stay here, what errors say of people, lanes and
accounts, and what goes back to policy."""

from __future__ import annotations

from connectors.kafka.publisher import DurablePublisher
from schemas.codec import Codec
from schemas.records import Consent, Control, Deferral, LifecycleEvent
from schemas.topics import CONSENT, CONTROL, LIFECYCLE, deferral_topic
from streams.control.trouble import trouble_key
from streams.rounds import URGENT_HEADERS

_FIRST_TIER = "1s"
"""Where a message enters the wheel; policy passes it on to the tier of its due time."""


class Outbox:
    """Writes through the durable publisher; every method returns once Kafka has acknowledged.

    All raise PublishRejected and PublisherClosed as the publisher does.
    """

    def __init__(self, codec: Codec, publisher: DurablePublisher) -> None:
        self._codec = codec
        self._publisher = publisher

    async def tell(self, event: LifecycleEvent, traceparent: str | None) -> None:
        """One step of a message's story."""
        await self._publisher.publish(
            LIFECYCLE,
            self._codec.encode(event),
            key=event.message_id.encode(),
            headers=_trace(traceparent),
        )

    async def defer(self, deferral: Deferral, recipient: str, traceparent: str | None, *, urgent: bool) -> None:
        """A message back to the wheel, for a new decision; `urgent`: it is critical."""
        await self._publisher.publish(
            deferral_topic(_FIRST_TIER),
            self._codec.encode(deferral),
            key=recipient.encode(),
            headers=[*_trace(traceparent), *(URGENT_HEADERS if urgent else ())],
        )

    async def consent(self, record: Consent, traceparent: str | None) -> None:
        """What an error says of a person."""
        await self._publisher.publish(
            CONSENT, self._codec.encode(record), key=record.recipient.encode(), headers=_trace(traceparent)
        )

    async def trouble(self, record: Control) -> None:
        """Trouble of a lane or account, or its end. Handed over at once, so that they stay in order."""
        await self._publisher.publish(CONTROL, self._codec.encode(record), key=trouble_key(record))


def _trace(traceparent: str | None) -> list[tuple[str, bytes]]:
    return [] if traceparent is None else [("traceparent", traceparent.encode())]
