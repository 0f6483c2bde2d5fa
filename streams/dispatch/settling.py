"""Brings a message's attempt to its end: RESULT acknowledged → what it says follows, acknowledged → record finished.

Every step can be done again by a successor from the RESULT alone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from zlib import crc32

from connectors.twilio.errors import ErrorPolicy
from schemas.reasons import Reason
from schemas.records import Attempt, AttemptOutcome, Deferral, DoubtPolicy, Follows, MessageClass, MessageStatus, Stage
from streams.rounds import request_of

from . import metrics
from .attempt_log import AttemptLog, Made
from .attempts import Retry
from .day_caps import DayCaps
from .jobs import Job
from .look import Refusal
from .outbox import Outbox
from .outlook import eta_s_of
from .scheduler import Scheduler
from .story import deferred_by, ending, told_by, told_of_person
from .tenure import Tenure
from .verdict import Verdict

UNSEEN_WAIT_S = 1.0
"""How soon a message that waits for news of consent is looked at again: all that is held comes round so often."""

GIVE_UP_WAIT_S = {
    Reason.LANE_MOVED: 1.0,
    Reason.CONSENT_CHANGED: 1.0,
    Reason.UNKNOWN_LANE: 10.0,
    Reason.LANE_FULL: 60.0,
}
"""When policy is asked again. A move, or what the person has just written, is known there at once; a configuration
without the lane reaches all processes within some seconds, or policy would choose it again; a full lane needs as long
as what it holds of the message's class and those before it, at least this."""
RESENDS = 3
"""Each attempt in doubt may have reached the person, however often Twilio's list does not show it: so many of them at
most are followed by one more. A process that is killed all the time leaves such attempts, too."""
FULL_AT_MOST_S = 3600.0
FULL_SPREAD = 0.5
"""What a full lane gives back within a moment comes back over this part of its wait, or the lane would be full at
once."""
REFUSED_WAIT_S = 2.0
"""When policy is asked again of a message whose sender is refused for the country, where it chose that sender before it
could know; and how soon at the earliest in any case."""
REFUSED_HEARD_MS = 1_500
"""What is written on comms.control every process knows so much later; less than `REFUSED_WAIT_S`, so that policy is
asked once only before the wait."""
NEXT_DAY_SPREAD_S = 600.0
"""What waits for a carrier's next day comes back over so long: a brand's part of a day may be all of it."""
LEASE_POLL_S = 0.05
"""How soon an expired lease is looked at again: it comes back with a heartbeat and tells nobody."""


class Settler:
    """All methods belong to one event loop; the coroutines raise what the publisher raises.

    Args:
        errors: what Twilio's errors mean.
        stirred: told when the scheduler was given something.
        finished: told of each message that has left.
        clock: monotonic seconds.
        now_ms: epoch milliseconds.
        resends: how often a message in doubt is sent again in one round.
        day_caps: what carriers take of brands a day.
    """

    def __init__(
        self,
        *,
        tenure: Tenure,
        scheduler: Scheduler,
        log: AttemptLog,
        outbox: Outbox,
        errors: ErrorPolicy,
        may_act: Callable[[], bool],
        stirred: Callable[[], None],
        finished: Callable[[], None],
        clock: Callable[[], float],
        now_ms: Callable[[], int],
        resends: int = RESENDS,
        day_caps: DayCaps | None = None,
    ) -> None:
        self._tenure = tenure
        self._scheduler = scheduler
        self._log = log
        self._outbox = outbox
        self._errors = errors
        self._may_act = may_act
        self._stirred = stirred
        self._finished = finished
        self._clock = clock
        self._now_ms = now_ms
        self._resends = resends
        self._day_caps = day_caps

    # After a POST

    async def settle(self, job: Job, verdict: Verdict, written: Callable[[], None]) -> None:
        """Twilio answered. `written` is called once the RESULT is acknowledged."""
        result, acknowledged = self._log.result(job, verdict)
        # Nothing is told before: without the RESULT a successor goes by Twilio's list, and of two equal texts to one
        # person it may take this one's message for the other's, and tell another story of each.
        await acknowledged
        written()
        if result.follows is Follows.RETRY:
            await self.again(job, verdict.retry_in_s)
        else:
            await self.follow(job, result)

    async def found(self, job: Job, attempt: int, made: Made) -> None:
        """Twilio's list or a callback shows that an attempt in doubt was accepted."""
        await self.follow(job, await self._log.found(job, attempt, made))

    async def missing(self, job: Job, attempts: tuple[int, ...], listed: bool) -> bool:
        """Nothing shows what became of these attempts: the category decides. If no complete list of Twilio's was had
        (`listed`), or too many attempts were lost, it is `unknown`. Returns whether it is sent again."""
        job.lost += len(attempts)
        may_be_sent = listed and job.lost <= self._resends and job.deadline >= self._now_ms()
        resend = may_be_sent and job.order.doubt_policy is DoubtPolicy.RESEND
        follows = Follows.RETRY if resend else Follows.FINAL
        for attempt in attempts:
            result = await self._log.not_found(job, attempt, follows)
        if resend:
            await self.again(job, 0.0)
        else:
            await self.follow(job, result)
        return resend

    async def follow(self, job: Job, result: Attempt) -> None:
        """Do what a final RESULT says follows, and finish; also again, after a crash."""
        # What Twilio itself said is true whoever tells it; of what was only concluded here a successor may know more.
        concluded = result.outcome in (AttemptOutcome.NOT_STARTED, AttemptOutcome.IN_DOUBT)
        if concluded and result.follows is not Follows.WHEEL and not await self._is_ours(job):
            return
        said = told_of_person(result, job.order, self._errors)
        if said is not None:
            # Before the message is finished, so that a successor writes it again (by the same id) after a crash.
            await self._outbox.consent(said, job.order.traceparent)
            metrics.told_of_people(said.change.value, str(said.error_code)).inc()
        if result.follows is Follows.WHEEL:
            await self._to_wheel(job, result)
            return
        event = told_by(result, job.order)
        await self._outbox.tell(event, job.order.traceparent)
        self._finish(job, event.status, event.reason)

    # Without a POST

    async def expire(self, job: Job) -> None:
        """Its deadline has passed."""
        if job.intent_at:
            result = await self._log.not_started(
                job, Follows.FINAL, reason=Reason.DEADLINE_PASSED, status=MessageStatus.EXPIRED
            )
            await self.follow(job, result)
            return
        attempts = job.attempt - 1
        detail = f"after {attempts} attempts" if attempts else None
        await self._end(job, attempts or None, MessageStatus.EXPIRED, Reason.DEADLINE_PASSED, detail)

    async def refuse(self, job: Job) -> None:
        """The last look let it not start."""
        match job.refusal:
            case Refusal.EXPIRED:
                await self.expire(job)
            case Reason.SUPPRESSED if job.order.fallback_channels:
                # It may be this channel alone; what holds for all of them policy finds at the next one.
                result = await self._log.not_started(job, Follows.WHEEL, reason=Reason.CHANNEL_FAILED)
                await self.follow(job, result)
            case (Reason.CONSENT_CHANGED | Reason.SENDER_REFUSED) as reason:
                await self.give_up(job, reason)
            case Reason() as reason:
                status = MessageStatus.CANCELED if reason is Reason.CANCELED else MessageStatus.DENIED
                await self.follow(job, await self._log.not_started(job, Follows.FINAL, reason=reason, status=status))
            case Refusal.UNSEEN:
                await self._log.not_started(job, Follows.RETRY, reason=None)
                await self.again(job, UNSEEN_WAIT_S)
            case Refusal.WINDOW_CLOSED:
                await self.follow(job, await self._log.not_started(job, Follows.WHEEL, reason=Reason.NOT_BEFORE))
            case _:
                await self._log.not_started(job, Follows.RETRY, reason=None)
                await self.again(job, 0.0)

    async def give_back(self, job: Job) -> None:
        """The partitions go to another worker: it need not look up an attempt that was not begun."""
        await self._log.not_started(job, Follows.RETRY, reason=None)

    # Next

    async def again(self, job: Job, wait_s: float) -> None:
        """The next attempt, here; nothing if the partition is another's meanwhile."""
        if not self._tenure.holds(job):
            return
        job.attempt += 1
        job.intent_at = 0
        await self.queue(job, wait_s)

    async def go_on(self, job: Job, retry: Retry) -> None:
        """The attempt that follows by what the log says of those before it."""
        job.attempt = retry.attempt
        job.intent_at = 0
        await self.queue(job, max(0.0, (retry.not_before_ms - self._now_ms()) / 1000.0))

    async def queue(self, job: Job, wait_s: float = 0.0) -> None:
        """Let a message wait for its slot, or go back to policy if it may not be sent from here; nothing if its
        partition is another's."""
        if not self._tenure.holds(job):
            return
        if job.astray is not None:
            await self.give_up(job, job.astray)
            return
        if wait_s > 0.0 and not job.closed:
            self._scheduler.delay(job, self._clock() + wait_s)
            self._stirred()
        else:
            self.push(job)

    def push(self, job: Job) -> None:
        """Let a message whose lane is served here wait for its slot."""
        if job.closed:
            self._scheduler.keep(job)
        else:
            self._scheduler.push(job)
        self._stirred()

    async def give_up(self, job: Job, reason: Reason) -> None:
        """It may not be sent from here: policy decides anew. Written down first: a successor could be of another mind
        (the lane is configured again, there is room) and send what policy sends as well."""
        if job.deadline < self._now_ms():
            await self.expire(job)
            return
        metrics.given_back.labels(reason.value).inc()
        if reason is Reason.DAY_CAP_REACHED:
            wait_s = self._next_day_s(job)
        elif reason is Reason.SENDER_REFUSED:
            wait_s = self._refused_s(job)
        else:
            wait_s = self._full_s(job) if reason is Reason.LANE_FULL else GIVE_UP_WAIT_S[reason]
        await self.follow(job, await self._log.not_started(job, Follows.WHEEL, reason=reason, wait_s=wait_s))

    def _next_day_s(self, job: Job) -> float:
        """Until the carrier's next day, spread over some minutes of it; not beyond the deadline, where it ends."""
        now_ms = self._now_ms()
        until = None if self._day_caps is None else self._day_caps.waits_until(job.order, job.segments, now_ms)
        if until is None:
            return 0.0  # a day has begun
        spread_ms = int(NEXT_DAY_SPREAD_S * 1000 * _fraction(job))
        return max(0, min(until + spread_ms, job.deadline) - now_ms) / 1000

    def _refused_s(self, job: Job) -> float:
        """Until its lane is tried again for its country, spread like what a full lane gives back; not beyond the
        deadline. Policy is asked soon if it could not know when it decided: it may have another sender."""
        countries = self._scheduler.pauses.countries
        known = countries.of(job.order)
        if known is None or job.order.decided_at < known.told_ms + REFUSED_HEARD_MS:
            return REFUSED_WAIT_S
        wait_s = max(REFUSED_WAIT_S, countries.left_s(job.order, self._clock())) * (1.0 + FULL_SPREAD * _fraction(job))
        return min(wait_s, max(0, job.deadline - self._now_ms()) / 1000)

    def _full_s(self, job: Job) -> float:
        lane = self._scheduler.lanes.get(job.order.lane)
        carrier = None if lane is None else lane.carrier_of(job)
        if lane is not None and carrier is not None:
            held_s = lane.waiting_for(carrier, job.rank) / carrier.pace.bucket.rate
            at_least_s = max(GIVE_UP_WAIT_S[Reason.LANE_FULL], held_s)
            return min(FULL_AT_MOST_S, carrier.back_in_s(job.rank, job.segments, self._clock(), at_least_s))
        eta_s = 0.0 if lane is None else eta_s_of(lane, job.rank)
        wait_s = max(GIVE_UP_WAIT_S[Reason.LANE_FULL], min(eta_s, FULL_AT_MOST_S))
        # By its id: the same wherever and however often it is worked out.
        return wait_s * (1.0 + FULL_SPREAD * _fraction(job))

    async def _to_wheel(self, job: Job, result: Attempt) -> None:
        if not await self._is_ours(job):
            return
        order = job.order
        deferral = Deferral(
            message_id=order.message_id,
            round=order.round + 1,
            app=order.app,
            due_at=result.follows_at or result.at,
            reason=result.reason or Reason.NOT_BEFORE.value,
            by=Stage.DISPATCH,
            request=request_of(order),
            deadline=order.deadline,
            at=result.at,
        )
        urgent = order.message_class is MessageClass.CRITICAL
        await self._outbox.defer(deferral, order.recipient, order.traceparent, urgent=urgent)
        await self._outbox.tell(deferred_by(result, order), order.traceparent)
        self._finish(job, MessageStatus.DEFERRED, deferral.reason)

    async def _is_ours(self, job: Job) -> bool:
        """Asked once the RESULT is acknowledged: if the lease held then, every successor reads it. If not, one may have
        sent the message by now: there must be no next round, and no other end."""
        while self._tenure.holds(job) and not self._tenure.closing:
            if self._may_act():
                return True
            await asyncio.sleep(LEASE_POLL_S)
        return False

    async def _end(
        self, job: Job, attempt: int | None, status: MessageStatus, reason: Reason, detail: str | None
    ) -> None:
        if not await self._is_ours(job):
            return  # a successor may have sent it in time
        now_ms = self._now_ms()
        event = ending(job.order, attempt=attempt, status=status, now_ms=now_ms, reason=reason, detail=detail)
        await self._outbox.tell(event, job.order.traceparent)
        self._finish(job, status, reason.value)

    def _finish(self, job: Job, status: MessageStatus, reason: str | None) -> None:
        self._forget(job)
        metrics.ended(job.order.message_class, status, reason or "").inc()

    def _forget(self, job: Job) -> None:
        self._tenure.release(job)
        for record in job.records:
            record.ack()
        self._finished()


def _fraction(job: Job) -> float:
    return crc32(job.order.message_id.encode()) / 2**32
