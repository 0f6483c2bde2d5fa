"""Turns the scheduler: plans, starts and times, on one event loop.

Workers, not tasks per message: a worker asks the scheduler for a job and begins its POST in the same step of the loop,
so that nothing comes between the check of pace and lease and the request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from .breaker import FOREVER
from .jobs import Job
from .scheduler import Scheduler

CLOSED_POLL_S = 0.05
"""How soon a closed gate is looked at again: the lease comes back with a heartbeat and tells nobody."""
LONGEST_SLEEP_S = 1.0
"""Deadlines are in wall time, which may jump: they are looked at this often."""


class Pump:
    """See the module.

    Args:
        scheduler: decides.
        open_gate: whether anything may be started now (lease valid, partitions restored).
        prepare: given each planned job; it calls `scheduler.prepared` (at once, or when the INTENT is acknowledged,
            and then `kick`).
        serve: carries out one started job, to its end.
        expired: given each job whose deadline has passed in here.
        refused: given each job that the last look refused, or whose lane or account was held when it was prepared.
        broken: given an exception that no part can handle; the process must end.
        clock: monotonic seconds.
        now_ms: epoch milliseconds.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        *,
        open_gate: Callable[[], bool],
        prepare: Callable[[Job], None],
        serve: Callable[[Job], Awaitable[None]],
        expired: Callable[[Job], None],
        refused: Callable[[Job], None],
        broken: Callable[[Exception], Awaitable[None]],
        clock: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        self._scheduler = scheduler
        self._open_gate = open_gate
        self._prepare = prepare
        self._serve = serve
        self._expired = expired
        self._refused = refused
        self._broken = broken
        self._clock = clock
        self._now_ms = now_ms
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turn_due = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = FOREVER
        self._workers: set[asyncio.Task[None]] = set()
        self._idle: list[asyncio.Future[None]] = []

    def start(self) -> None:
        """Begin, inside the running loop."""
        self._loop = asyncio.get_running_loop()
        self.kick()

    async def stop(self) -> None:
        """Stop for good; requests under way are abandoned."""
        if self._timer is not None:
            self._timer.cancel()
        self._loop = None
        for worker in self._workers:
            worker.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)

    def kick(self) -> None:
        """Something has changed: look at the scheduler soon. Cheap to call often."""
        if not self._turn_due and self._loop is not None:
            self._turn_due = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_due = False
        if self._loop is None:
            return
        try:
            self._look_around()
        except Exception as error:
            # Nobody waits for this step: it would stand still without a word, and every lane with it.
            ending = self._loop.create_task(self._end(error), name="dispatch pump")
            self._workers.add(ending)
            ending.add_done_callback(self._workers.discard)

    async def _end(self, error: Exception) -> None:
        await self._broken(error)

    def _look_around(self) -> None:
        now = self._clock()
        self._expire()
        if not self._open_gate():
            self._sleep_until(now + CLOSED_POLL_S, now)
            return
        self._plan(now)
        if self._scheduler.startable(now):
            self._wake_worker()
        self._sleep_until(min(self._scheduler.next_at(), now + LONGEST_SLEEP_S), now)

    def _plan(self, now: float) -> None:
        scheduler = self._scheduler
        while True:
            for job in scheduler.plan(now):
                self._prepare(job)
            self._refuse()
            if not scheduler.stirred:
                return

    def _refuse(self) -> None:
        scheduler = self._scheduler
        if scheduler.refused:
            refused, scheduler.refused = scheduler.refused, []
            for each in refused:
                self._refused(each)

    def _expire(self) -> None:
        now_ms = self._now_ms()
        next_ms = self._scheduler.next_expiry_ms()
        if next_ms is not None and next_ms < now_ms:
            for job in self._scheduler.expire(now_ms):
                self._expired(job)

    def _sleep_until(self, at: float, now: float) -> None:
        if self._timer is not None:
            if self._timer_at <= at and not self._timer.cancelled():
                return
            self._timer.cancel()
        assert self._loop is not None
        self._timer_at = at
        self._timer = self._loop.call_later(max(0.0, at - now), self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at = FOREVER
        self._turn()

    # Workers

    def _wake_worker(self) -> None:
        while self._idle:
            waiting = self._idle.pop()
            if not waiting.done():
                waiting.set_result(None)
                return
        assert self._loop is not None
        worker = self._loop.create_task(self._work(), name="dispatch sender")
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    async def _work(self) -> None:
        try:
            while True:
                job = self._next()
                if job is None:
                    waiting = asyncio.get_running_loop().create_future()
                    self._idle.append(waiting)
                    await waiting
                else:
                    await self._serve(job)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            await self._broken(error)

    def _next(self) -> Job | None:
        """A job to serve in this very step. Two workers are woken if there is more, so that what can start together
        does so within a few turns of the loop, however much it is."""
        if self._loop is None or not self._open_gate():
            return None
        scheduler, now = self._scheduler, self._clock()
        job = scheduler.pop(now)
        self._refuse()
        if job is not None:
            self.kick()
            if scheduler.startable(now):
                self._wake_worker()
                self._wake_worker()
        return job
