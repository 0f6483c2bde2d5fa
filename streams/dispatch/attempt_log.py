"""Writes the attempts log: INTENT before a POST, RESULT after it, both in the partition of the message's lane."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from connectors.kafka.publisher import DurablePublisher, Position
from connectors.kafka.topic_partition import TP
from schemas.codec import Codec
from schemas.reasons import Reason
from schemas.records import Attempt, AttemptKind, AttemptOutcome, Follows, MessageStatus
from schemas.topics import ATTEMPTS

from .jobs import Job
from .positions import IntentPositions
from .verdict import Verdict


class Made(NamedTuple):
    """A message that Twilio turned out to have made for an attempt in doubt.

    Attributes:
        sid: its SID.
        status: as Twilio last said.
        segments: as Twilio counts them, where it told.
    """

    sid: str
    status: str
    segments: int | None


class AttemptLog:
    """One process's writing. The futures and coroutines raise what the publisher raises.

    Args:
        owner: name of this process. What is written of a message names the assignment as well, under which it was taken
            in: "not started" speaks for its writer, and after a stall of Kafka the same process may not have read what
            it wrote itself, and have used the number again.
        positions: told of every position, so that the next commit carries the right note.
        written, acknowledged: told of every record then.
    """

    def __init__(
        self,
        codec: Codec,
        publisher: DurablePublisher,
        *,
        owner: str,
        positions: IntentPositions,
        now_ms: Callable[[], int],
        written: Callable[[Attempt], None] = lambda record: None,
        acknowledged: Callable[[Attempt], None] = lambda record: None,
    ) -> None:
        self._codec = codec
        self._publisher = publisher
        self._owner = owner
        self._positions = positions
        self._now_ms = now_ms
        self._written = written
        self._acknowledged = acknowledged

    def intent(self, job: Job) -> asyncio.Future[Position]:
        """Write the INTENT of the job's attempt; sets `intent_at`. Its position is noted for all records of the job
        before anything else learns that it was acknowledged."""
        job.intent_at = self._now_ms()
        return self._write(job, self._record(job, AttemptKind.INTENT, job.intent_at), note=True)

    def joined(self, job: Job, tp: TP, offset: int) -> None:
        """Another record of the same message shares the job's INTENTs from now on."""
        first = job.records[0].message
        position = self._positions.of(first.tp, first.offset)
        if position is not None:
            self._positions.note(tp, offset, position)

    async def not_started(
        self,
        job: Job,
        follows: Follows,
        *,
        reason: Reason | None,
        status: MessageStatus | None = None,
        wait_s: float = 0.0,
    ) -> Attempt:
        """RESULT of an attempt whose POST was not begun; it may have no INTENT. What follows waits for `wait_s`."""
        result = self._record(job, AttemptKind.RESULT, self._now_ms())
        result.outcome = AttemptOutcome.NOT_STARTED
        result.follows = follows
        result.reason = reason.value if reason is not None else None
        result.final_status = status.value if status is not None else None
        if wait_s:
            result.follows_at = result.at + int(wait_s * 1000)
        # Without an INTENT nothing else would lead a successor to it.
        await self._write(job, result, note=not job.intent_at)
        return result

    def result(self, job: Job, verdict: Verdict) -> tuple[Attempt, asyncio.Future[Position]]:
        """RESULT of a POST that was answered, and when it is acknowledged."""
        assert verdict.follows is not None, "a doubt has no RESULT until it is resolved"
        now_ms = self._now_ms()
        result = self._record(job, AttemptKind.RESULT, now_ms)
        result.outcome = verdict.outcome
        result.follows = verdict.follows
        result.final_status = verdict.status.value if verdict.status is not None else None
        result.reason = verdict.reason.value if verdict.reason is not None else None
        result.error_message = verdict.detail
        if verdict.follows is not Follows.FINAL:
            result.follows_at = now_ms + int(verdict.retry_in_s * 1000)
        if verdict.error is not None:
            result.error_class = verdict.error.error_class.scope.value
            result.error_code = verdict.error.code
            result.http_status = verdict.error.http_status
            result.request_id = verdict.request_id
        if verdict.accepted is not None:
            accepted = verdict.accepted
            result.sid = accepted.sid
            result.status = accepted.status
            result.segments = accepted.num_segments or job.segments
            result.request_id = accepted.request_id
            result.http_status = accepted.http_status
            result.twilio_date = accepted.date_ms
        return result, self._write(job, result)

    async def found(self, job: Job, attempt: int, made: Made) -> Attempt:
        """RESULT of an attempt in doubt that Twilio's list or a callback shows to be accepted."""
        result = self._record(job, AttemptKind.RESULT, self._now_ms(), attempt)
        result.outcome = AttemptOutcome.ACCEPTED
        result.follows = Follows.FINAL
        result.final_status = MessageStatus.ACCEPTED.value
        result.sid = made.sid
        result.status = made.status
        result.segments = made.segments or job.segments
        await self._write(job, result)
        return result

    async def not_found(self, job: Job, attempt: int, follows: Follows) -> Attempt:
        """RESULT of an attempt in doubt that nothing shows: the next attempt, or `unknown` for good."""
        result = self._record(job, AttemptKind.RESULT, self._now_ms(), attempt)
        result.outcome = AttemptOutcome.IN_DOUBT
        result.follows = follows
        result.reason = Reason.IN_DOUBT.value
        result.final_status = MessageStatus.UNKNOWN.value if follows is Follows.FINAL else None
        await self._write(job, result)
        return result

    def _record(self, job: Job, kind: AttemptKind, at: int, attempt: int | None = None) -> Attempt:
        order, source = job.order, job.records[0].message
        return Attempt(
            kind=kind,
            message_id=order.message_id,
            round=order.round,
            attempt=job.attempt if attempt is None else attempt,
            source_topic=source.topic,
            source_offset=source.offset,
            at=at,
            lane=order.lane,
            account=order.account,
            recipient=order.recipient,
            segments=job.segments,
            owner=f"{self._owner}:{job.generation}",
            carrier=order.carrier,
        )

    def _write(self, job: Job, record: Attempt, *, note: bool = False) -> asyncio.Future[Position]:
        self._written(record)
        future = self._publisher.publish(
            ATTEMPTS,
            self._codec.encode(record),
            key=record.message_id.encode(),
            partition=job.records[0].message.partition,
        )
        future.add_done_callback(partial(self._acked, record, job if note else None))
        return future

    def _acked(self, record: Attempt, noted: Job | None, done: asyncio.Future[Position]) -> None:
        if not done.cancelled() and done.exception() is None:
            _, partition, offset = done.result()
            self._positions.acked(partition, offset)
            self._acknowledged(record)
            if noted is not None:
                note_all(self._positions, noted.records, offset)


def note_all(positions: IntentPositions, records: Iterable[Any], position: int) -> None:
    """Note a position for each of these Kafka records."""
    for record in records:
        positions.note(record.message.tp, record.message.offset, position)
