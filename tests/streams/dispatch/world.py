"""A sender on the test's own loop, with a Twilio that answers as told and a Kafka that remembers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from connectors.twilio.account import Account
from connectors.twilio.answers import Accepted, Answer
from schemas.codec import SingleObjectCodec
from schemas.records import Dispatch, LifecycleEvent, Record
from streams.dispatch.lanes import Lane
from streams.dispatch.outbox import Outbox
from streams.dispatch.scheduler import Scheduler
from streams.dispatch.sending import Sender, Surroundings
from streams.dispatch.troubles import Troubles
from tests.support.published import RecordingPublisher
from tests.support.waiting import until

from .simulation import lane, scheduler, table

CODEC = SingleObjectCodec()
WAIT_S = 30.0


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def sid(number: int) -> str:
    return f"SM{number:032x}"


class FakeTwilio:
    """Answers each POST by `answer(order, attempt, number)`; accepts all by default."""

    def __init__(self) -> None:
        self.posts: list[tuple[Dispatch, int | None, str | None]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.hold: asyncio.Event | None = None
        self.answer: Callable[[Dispatch, int, int], Answer] = lambda order, attempt, number: self.accepted(number)

    @staticmethod
    def accepted(number: int) -> Accepted:
        return Accepted(sid(number), "queued", 1, f"RQ{number}", 1, wall_ms())

    async def create(
        self, account: Account, order: Dispatch, *, status_callback: str | None, attempt: int | None = None
    ) -> Answer:
        self.posts.append((order, attempt, status_callback))
        number = len(self.posts)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await (self.hold.wait() if self.hold is not None else asyncio.sleep(0))
        finally:
            self.in_flight -= 1
        return self.answer(order, attempt or 1, number)


class Consumed:
    """A consumed record that remembers whether it was finished."""

    def __init__(self) -> None:
        self.finished = 0

    def ack(self) -> None:
        self.finished += 1


@dataclass
class World:
    scheduler: Scheduler
    twilio: FakeTwilio
    kafka: RecordingPublisher
    sender: Sender
    troubles: Troubles
    allowed: bool = True
    broken: list[Exception] = field(default_factory=list)

    def take(self, order: Dispatch) -> Consumed:
        record = Consumed()
        self.sender.take(order, record)
        return record

    def told(self, topic: str = "comms.lifecycle") -> list[Any]:
        decoded: list[Record] = [CODEC.decode(each.value or b"") for each in self.kafka.records if each.topic == topic]
        return decoded

    def ends(self) -> dict[str, LifecycleEvent]:
        return {event.message_id: event for event in self.told()}

    async def until(self, condition: Callable[[], Any]) -> None:
        await until(lambda: self.broken or condition(), WAIT_S)
        if self.broken:
            raise self.broken[0]


@asynccontextmanager
async def world(*lanes: Lane, **settings: Any) -> AsyncIterator[World]:
    plan = scheduler(table(lanes or [lane("a", 1e6)]), **settings)
    twilio, kafka, troubles = FakeTwilio(), RecordingPublisher(), Troubles(time.monotonic)
    made: World

    async def broken(error: Exception) -> None:
        made.broken.append(error)

    sender = Sender(
        plan,
        posts=twilio,
        outbox=Outbox(CODEC, kafka),
        troubles=troubles,
        world=Surroundings(
            accounts={name: Account(name, "AC" + "0" * 32, "user", "password") for name in plan.accounts},
            public_url="https://bridge.example",
            may_act=lambda: made.allowed,
            broken=broken,
            clock=time.monotonic,
            now_ms=wall_ms,
            random=lambda: 0.5,
        ),
    )
    made = World(plan, twilio, kafka, sender, troubles)
    sender.start()
    sender.open(1)
    try:
        yield made
    finally:
        await sender.stop()
    if made.broken:
        raise made.broken[0]
