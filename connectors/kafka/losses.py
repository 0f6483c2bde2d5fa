"""Records that retention took before they were processed, told on `comms.dead`: what is gone must not go unnoticed."""

from __future__ import annotations

from collections.abc import Callable

from schemas.codec import Codec
from schemas.reasons import Reason
from schemas.records import DeadLetter, Stage
from schemas.topics import DEAD, app_of

from .hooks import Loss
from .publisher import DurablePublisher


class LossLetters:
    """Writes a letter for each hole.

    Args:
        stage: whose group was to process them.
        now_ms: epoch milliseconds UTC.
    """

    def __init__(self, stage: Stage, codec: Codec, publisher: DurablePublisher, now_ms: Callable[[], int]) -> None:
        self._stage = stage
        self._codec = codec
        self._publisher = publisher
        self._now_ms = now_ms

    async def write(self, loss: Loss) -> None:
        """Returns once the letter is acknowledged, so that nothing behind the hole is processed before. A log that ends
        below what was processed lost nothing that is known, and gets none.

        Raises:
            PublishRejected, PublisherClosed: see DurablePublisher.
        """
        if not loss.count:
            return
        topic = loss.tp.topic
        letter = DeadLetter(
            stage=self._stage,
            reason=Reason.LOST.value,
            detail=f"up to {loss.count} records, from this offset up to {loss.next}, left the log unprocessed",
            fix="lengthen the topic's retention, and have whoever wrote them write them again",
            source_topic=topic,
            source_partition=loss.tp.partition,
            source_offset=loss.first,
            value_size=0,
            app=app_of(topic),
            at=self._now_ms(),
        )
        await self._publisher.publish(DEAD, self._codec.encode(letter))
