"""Writes what follows from messages that failed at Twilio (`back_into_loop`), before their state is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from connectors.kafka.publisher import DurablePublisher
from connectors.twilio.errors import ErrorPolicy
from schemas.codec import Codec
from schemas.records import Control, ControlAction, ControlSubject
from schemas.topics import CONSENT, CONTROL, LIFECYCLE, deferral_topic
from streams.control.health import health_key
from streams.control.trouble import trouble_key

from . import metrics
from .back_into_loop import HELD_MS, NO_BUDGETS, Consequences, consequences
from .memory import Message

log = structlog.get_logger(__name__)

_FIRST_TIER = "1s"
"""Where a message enters the wheel; policy passes it on to the tier of its due time."""
DAY_AGAIN_MS = 10_000
"""That a carrier takes no more of a brand today is told so often while messages fail for it: an operator may have
opened the day again meanwhile, and what fails later closes it."""


class Aftermath:
    """One process's writing; belongs to its event loop.

    Args:
        errors: what Twilio's errors mean.
        now_ms: epoch milliseconds UTC.
        budgets: the brand's budget of the lanes that have one.
    """

    def __init__(
        self,
        codec: Codec,
        publisher: DurablePublisher,
        errors: ErrorPolicy,
        *,
        now_ms: Callable[[], int],
        budgets: Mapping[str, str] = NO_BUDGETS,
    ) -> None:
        self._codec = codec
        self._publisher = publisher
        self._errors = errors
        self._now_ms = now_ms
        self._budgets = budgets
        self._troubles: dict[bytes, Control] = {}

    def of(self, known: Message) -> Consequences | None:
        """What must be written before the message's state is told; None where it has not failed, or that was told
        already."""
        failure = known.fold.failure()
        if failure is None:
            return None
        told, this = known.published, (failure.round, failure.status.value, failure.code)
        if this == known.followed or (told is not None and this == (told.round, told.status.value, told.error_code)):
            return None
        known.followed = this
        return consequences(failure, self._errors, self._budgets)

    async def write(self, following: Consequences) -> None:
        """Returns once Kafka has everything; raises what the publisher raises."""
        writing = []
        publish, encode = self._publisher.publish, self._codec.encode
        if (consent := following.consent) is not None:
            writing.append(publish(CONSENT, encode(consent), key=consent.recipient.encode()))
            metrics.consequences(consent.change.value, str(consent.error_code)).inc()
        if (trouble := following.trouble) is not None and self._is_news(trouble):
            writing.append(publish(CONTROL, encode(trouble), key=trouble_key(trouble)))
            metrics.consequences("trouble", str(trouble.error_code)).inc()
        event, deferral = following.event, following.deferral
        if deferral is not None and event is not None:
            key = (event.recipient or "").encode()
            writing.append(publish(deferral_topic(_FIRST_TIER), encode(deferral), key=key))
            metrics.consequences("deferral", str(event.error_code)).inc()
        await asyncio.gather(*writing)
        if event is not None:
            await publish(LIFECYCLE, encode(event), key=event.message_id.encode())

    async def tell_health(self, word: Control) -> None:
        """Tell policy that a lane's messages fail too often, or do so no more. Handed over at once."""
        written = self._publisher.publish(CONTROL, self._codec.encode(word), key=health_key(word.subject))
        if word.action is ControlAction.CLEAR:
            log.info("few of the sender's messages fail again", lane=word.subject)
        else:
            log.error("too many messages of a sender fail", lane=word.subject, why=word.reason, fix=word.fix)
            metrics.consequences("sender_health", str(word.error_code)).inc()
        await written

    def _is_news(self, trouble: Control) -> bool:
        """A lane that fails fails for many messages: one record holds it for a while."""
        key, until = trouble_key(trouble), trouble.until or 0
        told = self._troubles.get(key)
        if until <= self._now_ms():
            return False
        if told is not None and trouble.subject_kind is ControlSubject.BUDGET:
            if trouble.at < told.at + DAY_AGAIN_MS:
                return False
        elif told is not None and until < (told.until or 0) + HELD_MS // 2:
            return False
        self._troubles[key] = trouble
        log.error(
            "messages fail after Twilio took them",
            what=trouble.subject_kind.value,
            name=trouble.subject,
            code=trouble.error_code,
            meaning=trouble.reason,
            fix=trouble.fix,
        )
        return True
