"""A scheduler run on a virtual clock: what started when, under chosen lateness, INTENT latency and POST latency."""

from __future__ import annotations

import heapq
import itertools
import random as randomness
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from schemas.records import Channel, Dispatch, DoubtPolicy, Encoding, MessageClass
from streams.dispatch.jobs import Job
from streams.dispatch.lanes import Budget, Group, Lane, LaneTable
from streams.dispatch.scheduler import Scheduler
from streams.dispatch.scheduler_settings import SchedulerSettings

_ids = itertools.count()

FAR_MS = 10**15


def order(
    *,
    lane: str = "a",
    segments: int = 1,
    message_class: MessageClass = MessageClass.NORMAL,
    app: str = "shop",
    deadline: int = FAR_MS,
    message_id: str | None = None,
    recipient: str = "+14155550123",
    body: str = "hello",
    round: int = 0,
    doubt_policy: DoubtPolicy = DoubtPolicy.RESEND,
    carrier: str | None = None,
) -> Dispatch:
    return Dispatch(
        message_id=message_id or f"m{next(_ids)}",
        round=round,
        app=app,
        recipient=recipient,
        channel=Channel.SMS,
        category="any",
        message_class=message_class,
        account="main",
        lane=lane,
        group=lane,
        sender="+15005550006",
        body=body,
        segments=segments,
        encoding=Encoding.GSM7,
        requested_at=0,
        decided_at=time.time_ns() // 1_000_000,
        deadline=deadline,
        doubt_policy=doubt_policy,
        rule_version="1",
        carrier=carrier,
    )


def job(**fields: object) -> Job:
    return Job(order(**fields))  # type: ignore[arg-type]  # passes keywords through


def table(
    lanes: Iterable[Lane], groups: Iterable[Group] = (), partitions: int = 64, budgets: Iterable[Budget] = ()
) -> LaneTable:
    lanes = list(lanes)
    defined = {group.name: group for group in groups}
    for number, lane in enumerate(lanes):
        defined.setdefault(lane.group, Group(lane.group, number % partitions))
    return LaneTable.of(lanes, defined.values(), budgets, partitions=partitions)


def lane(name: str, rate: float, *, account: str = "main", group: str = "") -> Lane:
    return Lane(name=name, account=account, address=f"+1500555{name}", rate=rate, group=group)


@dataclass
class Start:
    at: float
    job: Job


@dataclass
class Simulation:
    """Arrivals are (time, job). `lateness`, `intent_s`, `connect_s` and `post_s` are drawn per use."""

    scheduler: Scheduler
    lateness: Callable[[], float] = lambda: 0.0
    intent_s: Callable[[], float] = lambda: 0.0
    connect_s: Callable[[], float] = lambda: 0.0
    post_s: Callable[[], float] = lambda: 0.0
    now: float = 0.0
    starts: list[Start] = field(default_factory=list)
    _events: list[tuple[float, int, str, Job]] = field(default_factory=list)
    _order: itertools.count[int] = field(default_factory=itertools.count)

    def arrive(self, at: float, job: Job) -> None:
        heapq.heappush(self._events, (at, next(self._order), "arrive", job))

    def run(self, until: float) -> None:
        while True:
            due = min(self._events[0][0] if self._events else float("inf"), self.scheduler.next_at())
            if due == float("inf") or due > until:
                return
            self.now = max(self.now, due) + self.lateness()
            while self._events and self._events[0][0] <= self.now:
                at, _, what, event_job = heapq.heappop(self._events)
                if what == "arrive":
                    event_job.arrived = at
                    self.scheduler.push(event_job)
                elif what == "intent":
                    self.scheduler.prepared(event_job)
                elif what == "write":
                    self.write(event_job)
                else:
                    self.scheduler.ended(event_job, self.now)
            self.pump()

    def write(self, started: Job) -> None:
        wait_s = self.scheduler.turn(started, self.now)
        if wait_s is None:
            self.scheduler.ended(started, self.now)
            self.scheduler.push(started)
        elif wait_s:
            heapq.heappush(self._events, (self.now + wait_s, next(self._order), "write", started))
        else:
            self.starts.append(Start(self.now, started))
            heapq.heappush(self._events, (self.now + self.post_s(), next(self._order), "answer", started))

    def pump(self) -> None:
        scheduler = self.scheduler
        while True:
            for planned in scheduler.plan(self.now):
                delay = self.intent_s()
                if delay:
                    heapq.heappush(self._events, (self.now + delay, next(self._order), "intent", planned))
                else:
                    scheduler.prepared(planned)
            started = scheduler.pop(self.now)
            for refused in scheduler.refused:
                scheduler.push(refused)
            scheduler.refused.clear()
            if started is not None:
                connect_s = self.connect_s()
                if connect_s:
                    heapq.heappush(self._events, (self.now + connect_s, next(self._order), "write", started))
                else:
                    self.write(started)
            elif not scheduler.stirred:
                return


def scheduler(lanes: LaneTable, seed: int = 1, **settings: object) -> Scheduler:
    return Scheduler(
        lanes,
        random=randomness.Random(seed).random,
        settings=SchedulerSettings(**settings),  # type: ignore[arg-type]  # passes keywords through
    )


def worst_excess(starts: Iterable[tuple[float, int]], rate: float) -> float:
    """Segments above rate × W + the largest message, over the worst window W; at most 0 when the promise is kept."""
    starts = list(starts)
    largest = max((segments for _, segments in starts), default=0)
    worst = float("-inf")
    # sum(i..j) - rate * (t_j - t_i): the best i for each j is found by carrying the maximum along.
    total, best = 0, float("-inf")
    for at, segments in starts:
        best = max(best, rate * at - total)
        total += segments
        worst = max(worst, total - rate * at + best)
    return worst - largest
