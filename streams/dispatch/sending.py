"""Sends: writes the INTENT of planned jobs, POSTs started ones, and judges the answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from connectors.kafka.publisher import Position
from connectors.twilio.account import Account
from connectors.twilio.answers import Answer, NotSent
from schemas.reasons import Reason
from schemas.records import Dispatch

from . import metrics
from .attempt_log import AttemptLog
from .changes import Changes
from .correspondence import Correspondence
from .day_caps import DayCaps
from .doubts import DoubtDesk
from .findings import Findings
from .jobs import Job, JobState
from .look import Refusal, last_look
from .pump import Pump
from .scheduler import Scheduler
from .settling import UNSEEN_WAIT_S, Settler
from .tenure import Tenure, UnderWay
from .troubles import Troubles
from .verdict import Verdict, judge


class Posts(Protocol):
    """What sends; `connectors.twilio.messages.Messages`."""

    async def create(
        self,
        account: Account,
        order: Dispatch,
        *,
        status_callback: str | None,
        attempt: int | None = None,
        turn: Callable[[], float | None] | None = None,
    ) -> Answer:
        """POST one message once, written when and if `turn` lets it be (`connectors.twilio.exchange.Turn`)."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What sending needs of the world.

    Attributes:
        accounts: by the name that lanes give.
        public_url: base of the bridge's status callback URL; None sends without callbacks.
        may_act: this process may still act for its partitions; asked with no await before the POST.
        clock: monotonic seconds.
        now_ms: epoch milliseconds.
        random: 0..1.
        changes: consent and cancellations since the decision; None asks for none.
        day_caps: what carriers take of brands a day; None asks for none.
    """

    accounts: Mapping[str, Account]
    public_url: str | None
    may_act: Callable[[], bool]
    clock: Callable[[], float]
    now_ms: Callable[[], int]
    random: Callable[[], float]
    changes: Changes | None = None
    day_caps: DayCaps | None = None


class Sender:
    """One process's sending. All methods belong to its event loop; the gate is closed at first.

    A sender and its settler need each other: `settler` and `doubts` are set before `start`.
    """

    settler: Settler
    doubts: DoubtDesk

    def __init__(
        self,
        *,
        scheduler: Scheduler,
        posts: Posts,
        log: AttemptLog,
        tenure: Tenure,
        under_way: UnderWay,
        correspondence: Correspondence,
        troubles: Troubles,
        world: Surroundings,
    ) -> None:
        self._scheduler = scheduler
        self._pauses = scheduler.pauses
        self._posts = posts
        self._log = log
        self._tenure = tenure
        self._under_way = under_way
        self._correspondence = correspondence
        self._world = world
        self._findings = Findings(scheduler, troubles, give_up=self._give_up, clock=world.clock, now_ms=world.now_ms)
        self._open = False
        scheduler.look = self._look
        self._pump = Pump(
            scheduler,
            open_gate=lambda: self._open and world.may_act(),
            prepare=self._prepare,
            serve=self._serve,
            expired=lambda job: under_way.spawn(self.settler.expire(job)),
            refused=lambda job: under_way.spawn(self.settler.refuse(job)),
            broken=under_way.broke,
            clock=world.clock,
            now_ms=world.now_ms,
        )

    def start(self) -> None:
        """Begin to turn."""
        self._pump.start()

    async def stop(self) -> None:
        """End; POSTs under way are abandoned."""
        await self._pump.stop()

    def open(self) -> None:
        """Restored: start what may start."""
        self._open = True
        self._pump.kick()

    def shut(self) -> None:
        """Start nothing more."""
        self._open = False

    def give_back(self) -> None:
        """Write down of what was planned and not begun that it was not, so that a successor need not ask Twilio."""
        for job in self._tenure.held.values():
            if job.state in (JobState.PREPARING, JobState.PREPARED) and job.intent_at:
                self._under_way.spawn(self.settler.give_back(job))

    def kick(self) -> None:
        """The scheduler was given something, or something outside has changed."""
        self._pump.kick()

    # One job ----------------------------------------------------------------------------------------------------------

    def _look(self, job: Job) -> bool:
        # Lane and account are the scheduler's own; a job of a paused app may be prepared already.
        held = self._pauses.holds(job) or job.astray is not None
        job.refusal = last_look(job, self._world.now_ms(), self._world.changes) or (Refusal.HELD if held else None)
        countries = self._pauses.countries
        if countries and job.refusal is None and countries.stops(job, self._world.clock()):
            job.refusal = Reason.SENDER_REFUSED
        return job.refusal is None

    def _prepare(self, job: Job) -> None:
        changes, order = self._world.changes, job.order
        unseen = changes is not None and changes.waits(order)
        if unseen or self.doubts.wants_silence(order.lane, order.recipient):
            self._scheduler.postpone(job, self._world.clock() + UNSEEN_WAIT_S)
            return
        caps = self._world.day_caps
        if caps is not None and caps.waits_until(order, job.segments, self._world.now_ms()) is not None:
            self._scheduler.postpone(job, self._world.clock())
            self._give_up(job, Reason.DAY_CAP_REACHED)
            return
        if self._pauses.countries and self._findings.keep_back(job):
            self._scheduler.postpone(job, self._world.clock())
            self._give_up(job, Reason.SENDER_REFUSED)
            return
        self._log.intent(job).add_done_callback(lambda done: self._intended(job, done))

    def _give_up(self, job: Job, reason: Reason) -> None:
        if self._scheduler.withdraw(job):
            self._under_way.spawn(self.settler.give_up(job, reason))

    def _intended(self, job: Job, done: asyncio.Future[Position]) -> None:
        if done.cancelled():
            return
        error = done.exception()
        if isinstance(error, Exception):
            self._under_way.spawn(self._under_way.broke(error))
        elif self._scheduler.prepared(job):
            self._pump.kick()
        elif self._tenure.holds(job):
            # Its deadline passed while the INTENT was written.
            self._under_way.spawn(self.settler.expire(job))

    async def _serve(self, job: Job) -> None:
        address = (job.order.lane, job.order.recipient)
        corresponding = True

        def written() -> None:
            nonlocal corresponding
            if corresponding:
                corresponding = False
                self._correspondence.ended(address)

        self._under_way.began()
        self._correspondence.began(address)
        try:
            verdict = await self._post(job)
            if verdict.follows is None:
                # Its INTENT stays open; from here on the desk knows of it.
                if self._tenure.holds(job):
                    self.doubts.add(job, {job.attempt: job.intent_at}, job.order.account, job.charged_at)
            else:
                await self.settler.settle(job, verdict, written)
        finally:
            written()
            self._under_way.ended()

    async def _post(self, job: Job) -> Verdict:
        order, world = job.order, self._world
        started = world.clock()
        posting = self._posts.create(
            world.accounts[order.account],
            order,
            status_callback=self._callback_url(job),
            attempt=job.attempt,
            # A connection may have to be made first, and the process may be paused at any point.
            turn=lambda: self._scheduler.turn(job, world.clock()) if world.may_act() and self._look(job) else None,
        )
        self._count_start(job, started)
        try:
            answer = await posting
        except BaseException:
            self._scheduler.ended(job, world.clock())
            raise
        now = world.clock()
        if not isinstance(answer, NotSent):
            job.posts += 1
        verdict = judge(answer, job.posts, world.random, round=order.round, fallback=bool(order.fallback_channels))
        reported = getattr(answer, "concurrent_requests", None)
        self._scheduler.ended(job, now, throttled=verdict.throttled, reported=reported)
        verdict = verdict.behind_pause(self._findings.act_on(job, verdict, now))
        self._pump.kick()
        metrics.post(order.account).observe(now - started)
        code = str(verdict.error.code) if verdict.error is not None and verdict.error.code is not None else ""
        metrics.answers(order.account, verdict.outcome, code).inc()
        return verdict

    def _callback_url(self, job: Job) -> str | None:
        base = self._world.public_url
        if base is None:
            return None
        order = job.order
        return f"{base}/twilio/status?m={order.message_id}&r={order.round}&a={job.attempt}#rc=5&rp=all"

    def _count_start(self, job: Job, now: float) -> None:
        order = job.order
        message_class = order.message_class
        metrics.sent(order.lane, message_class).inc()
        metrics.segments(order.lane).inc(job.segments)
        if job.attempt == 1:
            metrics.wait(message_class).observe(now - job.arrived)
            metrics.latency(message_class).observe(max(0.0, (self._world.now_ms() - order.requested_at) / 1000))
