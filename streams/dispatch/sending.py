"""Sends: takes started jobs from the scheduler, POSTs them, judges the answers, sees each message to its end here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from connectors.twilio.account import Account
from connectors.twilio.answers import Answer
from schemas.reasons import Reason
from schemas.records import Deferral, Dispatch, DoubtPolicy, Follows, MessageStatus, Stage

from . import metrics
from .jobs import Job
from .look import Refusal, last_look
from .outbox import Outbox
from .pump import Pump
from .scheduler import Scheduler
from .story import ending, told_by
from .troubles import Troubles
from .verdict import Pause, Paused, Verdict, judge

log = structlog.get_logger(__name__)

DOUBTS_TRIP = 5
"""So many answers lost in a row, and the account is taken to be in trouble: every further one leaves a message in
doubt."""
RESENDS_IN_DOUBT = 2
"""A message whose category says resend is tried once more when its answer was lost."""


class Posts(Protocol):
    """What sends; `connectors.twilio.messages.Messages`."""

    async def create(
        self, account: Account, order: Dispatch, *, status_callback: str | None, attempt: int | None = None
    ) -> Answer:
        """POST one message once."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a sender needs of the world.

    Attributes:
        accounts: by the name that lanes give.
        public_url: base of the bridge's status callback URL; None sends without callbacks.
        may_act: this process may still act for its partitions; asked with no await before the POST.
        broken: given an exception that no part can handle; the process must end.
        clock: monotonic seconds.
        now_ms: epoch milliseconds.
        random: 0..1.
    """

    accounts: Mapping[str, Account]
    public_url: str | None
    may_act: Callable[[], bool]
    broken: Callable[[Exception], Awaitable[None]]
    clock: Callable[[], float]
    now_ms: Callable[[], int]
    random: Callable[[], float]


class Sender:
    """One process's sending. All methods belong to its event loop.

    Attributes:
        generation: of the present assignment; jobs of an older one are not tried again here.
        held: every message taken in and not finished, by (message id, round).
        under_way: jobs from the start of their POST until they are settled.
    """

    def __init__(
        self, scheduler: Scheduler, *, posts: Posts, outbox: Outbox, troubles: Troubles, world: Surroundings
    ) -> None:
        self._scheduler = scheduler
        self._posts = posts
        self._outbox = outbox
        self._troubles = troubles
        self._world = world
        self._doubts_in_a_row: dict[str, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._open = False
        self.generation = 0
        self.held: dict[tuple[str, int], Job] = {}
        self.under_way = 0
        self.finished: Callable[[], None] = lambda: None
        scheduler.look = self._look
        self._pump = Pump(
            scheduler,
            open_gate=lambda: self._open and world.may_act(),
            prepare=self._prepare,
            serve=self._serve,
            expired=lambda job: self._spawn(self._expire(job)),
            refused=lambda job: self._spawn(self._refuse(job)),
            broken=world.broken,
            clock=world.clock,
            now_ms=world.now_ms,
        )

    # What the stage asks ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin, inside the running loop; the gate is closed."""
        self._pump.start()

    async def stop(self) -> None:
        """End; what is unfinished comes again."""
        await self._pump.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def open(self, generation: int) -> None:
        """Restored: records of this generation may be sent."""
        self.generation = generation
        self._open = True
        self._pump.kick()

    async def close(self) -> None:
        """Start nothing more; returns when nothing is under way."""
        self._open = False
        await self._quiet.wait()

    def drop(self) -> None:
        """The partitions are another's: forget what is held; it comes again."""
        self._open = False
        self.generation = 0
        self._scheduler.clear()
        self.held.clear()

    def take(self, order: Dispatch, record: Any) -> None:
        """Take a message in; its record is finished when the message has left dispatch. A repeat of one that is held
        joins it."""
        job = Job(order, arrived=self._world.clock(), generation=self.generation, record=record)
        known = self.held.get(job.key)
        if known is not None:
            known.records.append(record)
            metrics.joined.inc()
            return
        self.held[job.key] = job
        self._scheduler.push(job)
        self._pump.kick()

    def refuse_unknown_lane(self, order: Dispatch, record: Any) -> None:
        """End a message whose lane is not configured."""
        job = Job(order, generation=self.generation, record=record)
        detail = f"lane {order.lane} is not configured; put it back or send again"
        self._spawn(self._end(job, None, MessageStatus.FAILED, Reason.UNKNOWN_LANE, detail))

    def kick(self) -> None:
        """Something outside has changed."""
        self._pump.kick()

    # One message ------------------------------------------------------------------------------------------------------

    def _look(self, job: Job) -> bool:
        job.refusal = last_look(job, self._world.now_ms())
        return job.refusal is None

    def _prepare(self, job: Job) -> None:
        self._scheduler.prepared(job)

    async def _serve(self, job: Job) -> None:
        world, order = self._world, job.order
        self._began()
        try:
            started = world.clock()
            posting = self._posts.create(
                world.accounts[order.account],
                order,
                status_callback=self._callback_url(job),
                attempt=job.attempt,
            )
            self._count_start(job, started)
            try:
                answer = await posting
            except asyncio.CancelledError:
                self._scheduler.ended(job, world.clock())
                raise
            now = world.clock()
            metrics.post(order.account).observe(now - started)
            verdict = judge(answer, job.attempt, world.random)
            self._scheduler.ended(
                job, now, throttled=verdict.throttled, reported=getattr(answer, "concurrent_requests", None)
            )
            self._act_on_surroundings(job, verdict, now)
            self._pump.kick()
            await self._settle(job, verdict)
        finally:
            self._done()

    async def _settle(self, job: Job, verdict: Verdict) -> None:
        code = str(verdict.error.code) if verdict.error is not None and verdict.error.code is not None else ""
        metrics.answers(job.order.account, verdict.outcome.value, code).inc()
        if verdict.follows is Follows.FINAL:
            event = told_by(verdict, job.order, job.attempt, self._world.now_ms())
            await self._outbox.tell(event, job.order.traceparent)
            self._finish(job, event.status, event.reason)
        elif verdict.follows is Follows.RETRY:
            self._again(job, verdict.retry_in_s)
        else:
            await self._in_doubt(job, verdict)

    async def _in_doubt(self, job: Job, verdict: Verdict) -> None:
        # Without an attempts log there is nothing to look up by: a message that may be repeated is, once.
        if job.order.doubt_policy is DoubtPolicy.RESEND and job.attempt < RESENDS_IN_DOUBT:
            self._again(job, 1.0)
        else:
            await self._end(job, job.attempt, MessageStatus.UNKNOWN, Reason.IN_DOUBT, verdict.detail)

    def _again(self, job: Job, wait_s: float) -> None:
        """The next attempt, here; nothing if the partition is another's meanwhile."""
        if job.generation != self.generation or self.held.get(job.key) is not job:
            return
        job.attempt += 1
        job.intent_at = 0
        if wait_s > 0.0:
            self._scheduler.delay(job, self._world.clock() + wait_s)
        else:
            self._scheduler.push(job)
        self._pump.kick()

    async def _expire(self, job: Job) -> None:
        detail = None if job.attempt == 1 else f"after {job.attempt - 1} attempts"
        attempt = job.attempt - 1 or None
        await self._end(job, attempt, MessageStatus.EXPIRED, Reason.DEADLINE_PASSED, detail)

    async def _refuse(self, job: Job) -> None:
        match job.refusal:
            case Refusal.EXPIRED:
                await self._expire(job)
            case Refusal.WINDOW_CLOSED:
                await self._return_to_policy(job)
            case _:
                self._again(job, 0.0)

    async def _return_to_policy(self, job: Job) -> None:
        order, now_ms = job.order, self._world.now_ms()
        deferral = Deferral(
            message_id=order.message_id,
            round=order.round + 1,
            app=order.app,
            due_at=now_ms,
            reason=Reason.NOT_BEFORE.value,
            by=Stage.DISPATCH,
            deadline=order.deadline,
            at=now_ms,
        )
        await self._outbox.defer(deferral, order.recipient, order.traceparent)
        self._finish(job, MessageStatus.DEFERRED, deferral.reason)

    async def _end(
        self, job: Job, attempt: int | None, status: MessageStatus, reason: Reason, detail: str | None
    ) -> None:
        event = ending(
            job.order, attempt=attempt, status=status, now_ms=self._world.now_ms(), reason=reason, detail=detail
        )
        await self._outbox.tell(event, job.order.traceparent)
        self._finish(job, status, reason.value)

    def _finish(self, job: Job, status: MessageStatus, reason: str | None) -> None:
        if self.held.get(job.key) is job:
            del self.held[job.key]
        for record in job.records:
            record.ack()
        metrics.ended(job.order.message_class.value, status.value, reason or "").inc()
        self.finished()

    # Surroundings -----------------------------------------------------------------------------------------------------

    def _act_on_surroundings(self, job: Job, verdict: Verdict, now: float) -> None:
        order = job.order
        if verdict.worked or verdict.throttled:
            self._doubts_in_a_row[order.account] = 0
            lane_works, account_works = self._scheduler.worked(job, now)
            if lane_works:
                self._troubles.ended(Paused.LANE, order.lane)
            if account_works:
                self._troubles.ended(Paused.ACCOUNT, order.account)
        pause = verdict.pause
        if verdict.follows is None:
            doubts = self._doubts_in_a_row[order.account] = self._doubts_in_a_row.get(order.account, 0) + 1
            if doubts >= DOUBTS_TRIP:
                pause = Pause(Paused.ACCOUNT, f"{doubts} answers lost in a row: {verdict.detail}")
        if pause is None:
            return
        if pause.what is Paused.LANE:
            self._scheduler.trip_lane(order.lane, now, pause.why, at_least_s=pause.at_least_s)
            self._troubles.began(order.lane, pause)
        else:
            self._scheduler.trip_account(order.account, now, pause.why, at_least_s=pause.at_least_s)
            self._troubles.began(order.account, pause)

    def _callback_url(self, job: Job) -> str | None:
        base = self._world.public_url
        if base is None:
            return None
        order = job.order
        return f"{base}/twilio/status?m={order.message_id}&r={order.round}&a={job.attempt}#rc=5&rp=all"

    def _count_start(self, job: Job, now: float) -> None:
        order = job.order
        message_class = order.message_class.value
        metrics.sent(order.lane, message_class).inc()
        metrics.segments(order.lane).inc(job.segments)
        if job.attempt == 1:
            metrics.wait(message_class).observe(now - job.arrived)
            metrics.latency(message_class).observe(max(0.0, (self._world.now_ms() - order.requested_at) / 1000))

    def _began(self) -> None:
        self.under_way += 1
        self._quiet.clear()

    def _done(self) -> None:
        self.under_way -= 1
        if not self.under_way:
            self._quiet.set()

    def _spawn(self, work: Any) -> None:
        task = asyncio.ensure_future(self._or_break(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _or_break(self, work: Awaitable[None]) -> None:
        self._began()
        try:
            await work
        except Exception as error:
            await self._world.broken(error)
        finally:
            self._done()
