"""An engine on the test's own loop, with a Twilio that answers as told and a Kafka that remembers."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from connectors.kafka.topic_partition import TP
from connectors.twilio.account import Account
from connectors.twilio.addresses import format_address
from connectors.twilio.answers import Accepted, Answer, Listing, NotSent, Rejected, SentMessage, Unavailable
from schemas.codec import SingleObjectCodec
from schemas.reasons import Reason
from schemas.records import Attempt, Callback, Channel, Dispatch, LifecycleEvent, Record
from schemas.topics import ATTEMPTS, LIFECYCLE, dispatch_topic
from streams.dispatch.attempts import Histories
from streams.dispatch.day_caps import DayCaps
from streams.dispatch.engine import Engine
from streams.dispatch.lanes import Budget, Group, Lane
from streams.dispatch.scheduler import Scheduler
from streams.dispatch.sending import Surroundings
from streams.dispatch.settling import RESENDS
from streams.dispatch.shared_reading import About, Found
from streams.dispatch.troubles import Troubles
from tests.support.published import RecordingPublisher
from tests.support.waiting import until

from .simulation import lane, scheduler, table

CODEC = SingleObjectCodec()
WAIT_S = 30.0
PARTITION = 0
SETTLE_S = 0.2


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


def sid(number: int) -> str:
    return f"SM{number:032x}"


def sent_message(order: Dispatch, number: int, *, at_ms: int | None = None) -> SentMessage:
    """What Twilio lists for an order that it accepted."""
    return SentMessage(
        sid=sid(number),
        status="queued",
        direction="outbound-api",
        to=format_address(order.channel, order.recipient),
        sender=order.sender,
        messaging_service_sid=order.messaging_service_sid,
        body=order.body or "",
        num_segments=1,
        num_media=0,
        error_code=None,
        error_message=None,
        date_created_ms=wall_ms() if at_ms is None else at_ms,
        date_sent_ms=None,
        price=None,
        price_unit=None,
    )


class FakeTwilio:
    """Answers each POST by `answer(order, attempt, number)`; accepts all by default. `kept` is what its list shows,
    `late_ms` how old that list is when it is had, `complete` whether it is all."""

    def __init__(self) -> None:
        self.posts: list[tuple[Dispatch, int | None, str | None]] = []
        self.kept: list[SentMessage] = []
        self.lists: list[str] = []
        self.unlisted: Rejected | Unavailable | None = None
        self.in_flight = 0
        self.most_in_flight = 0
        self.hold: asyncio.Event | None = None
        self.connecting: asyncio.Event | None = None
        self.listing: asyncio.Event | None = None
        self.late_ms = 0
        self.complete = True
        self.answer: Callable[[Dispatch, int, int], Answer] = lambda order, attempt, number: self.accepted(
            order, number
        )

    def accepted(self, order: Dispatch, number: int) -> Accepted:
        self.kept.append(sent_message(order, number))
        return Accepted(sid(number), "queued", 1, f"RQ{number}", 1, wall_ms())

    async def create(
        self,
        account: Account,
        order: Dispatch,
        *,
        status_callback: str | None,
        attempt: int | None = None,
        turn: Callable[[], float | None] | None = None,
    ) -> Answer:
        if self.connecting is not None:
            await self.connecting.wait()
        while turn is not None and (wait_s := turn()) != 0:
            if wait_s is None:
                return NotSent("withheld", withheld=True)
            await asyncio.sleep(wait_s)
        self.posts.append((order, attempt, status_callback))
        number = len(self.posts)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await (self.hold.wait() if self.hold is not None else asyncio.sleep(0))
        finally:
            self.in_flight -= 1
        return self.answer(order, attempt or 1, number)

    async def list_to(
        self, account: Account, to: str, since_ms: int, *, channel: Channel = Channel.SMS
    ) -> Listing | Rejected | Unavailable:
        self.lists.append(to)
        await (self.listing.wait() if self.listing is not None else asyncio.sleep(0))
        if self.unlisted is not None:
            return self.unlisted
        kept = tuple(each for each in self.kept if each.to == format_address(channel, to))
        return Listing(kept, complete=self.complete, date_ms=wall_ms() - self.late_ms)


class Message(NamedTuple):
    """Where a consumed record lies."""

    topic: str
    partition: int
    offset: int
    timestamp: float

    @property
    def tp(self) -> TP:
        return TP(self.topic, self.partition)


class Consumed:
    """A consumed record that remembers whether it was finished."""

    def __init__(self, topic: str, offset: int, at_ms: int) -> None:
        self.message = Message(topic, PARTITION, offset, at_ms / 1000)
        self.finished = 0

    def ack(self) -> None:
        self.finished += 1


@dataclass
class World:
    """`read_back` counts readings of the attempts log; each waits for `reading`, if there is one. Its wall clock is set
    to `set_by_ms` from the true one."""

    scheduler: Scheduler
    twilio: FakeTwilio
    kafka: RecordingPublisher
    engine: Engine
    allowed: bool = True
    set_by_ms: int = 0
    broken: list[Exception] = field(default_factory=list)
    read_back: int = 0
    reading: asyncio.Event | None = None
    _offsets: itertools.count[int] = field(default_factory=itertools.count)

    @property
    def troubles(self) -> Troubles:
        return self.engine.troubles

    def take(
        self, order: Dispatch, astray: Reason | None = None, *, closed: bool = False, at_ms: int | None = None
    ) -> Consumed:
        """Take in a record that was appended at this time, now by default."""
        appended = wall_ms() if at_ms is None else at_ms
        record = Consumed(dispatch_topic(order.message_class), next(self._offsets), appended)
        self.engine.take(order, record, astray, closed=closed)
        return record

    def told(self, topic: str = LIFECYCLE) -> list[Any]:
        decoded: list[Record] = [CODEC.decode(each.value or b"") for each in self.kafka.records if each.topic == topic]
        return [each for each in decoded if not isinstance(each, Callback)]

    def attempts(self) -> list[tuple[str, str, int]]:
        """(kind, outcome or "", attempt) of the attempts log."""
        return [(each.kind.value, (each.outcome or ""), each.attempt) for each in self.told(ATTEMPTS)]

    def ends(self) -> dict[str, LifecycleEvent]:
        return {event.message_id: event for event in self.told()}

    async def until(self, condition: Callable[[], Any]) -> None:
        await until(lambda: self.broken or condition(), WAIT_S)
        if self.broken:
            raise self.broken[0]


def log_of(kafka: RecordingPublisher, partition: int = PARTITION) -> Found:
    """A partition of the attempts log."""
    found = []
    for position, each in enumerate(kafka.records):
        if each.topic == ATTEMPTS and each.partition == partition:
            record = CODEC.decode(each.value or b"")
            assert isinstance(record, Attempt)
            found.append((record, position))
    return found


def histories_of(kafka: RecordingPublisher) -> Histories:
    """What a new owner would read."""
    histories = Histories()
    for record, position in log_of(kafka):
        histories.add(record, PARTITION, position)
    return histories


@asynccontextmanager
async def world(
    *lanes: Lane,
    kafka: RecordingPublisher | None = None,
    twilio: FakeTwilio | None = None,
    groups: Iterable[Group] = (),
    budgets: Iterable[Budget] = (),
    places: Iterable[int] = (),
    resends: int = RESENDS,
    **settings: Any,
) -> AsyncIterator[World]:
    """A process; given the `kafka` of one before it, its successor. Its groups have lain on these `places`, too."""
    plan = scheduler(table(lanes or [lane("a", 1e6)], groups, budgets=budgets), **settings)
    twilio = twilio or FakeTwilio()
    log = kafka or RecordingPublisher()
    made: World

    async def broken(error: Exception) -> None:
        made.broken.append(error)

    async def find(partition: int, since_ms: int, about: About) -> Found:
        made.read_back += 1
        if made.reading is not None:
            await made.reading.wait()
        recent = [each for each in log_of(log, partition) if each[0].at >= since_ms]
        return [each for each in recent if each[0].message_id in about.ids or each[0].recipient in about.people]

    async def callbacks(wanted: Mapping[str, int]) -> list[Callback]:
        said = [CODEC.decode(each.value or b"") for each in log.records if each.topic == LIFECYCLE]
        callbacks = [each for each in said if isinstance(each, Callback) and each.message_id in wanted]
        return [each for each in callbacks if each.received_at >= wanted[each.message_id]]

    engine = Engine(
        plan,
        twilio=twilio,
        codec=CODEC,
        publisher=log,
        find=find,
        callbacks=callbacks,
        world=Surroundings(
            accounts={name: Account(name, "AC" + "0" * 32, "user", "password") for name in plan.accounts},
            public_url="https://bridge.example",
            may_act=lambda: made.allowed,
            clock=time.monotonic,
            now_ms=lambda: wall_ms() + made.set_by_ms,
            random=lambda: 0.5,
            day_caps=DayCaps(plan.table),
        ),
        owner="test",
        broken=broken,
        settle_s=SETTLE_S,
        resends=resends,
        places=lambda group: frozenset(places),
    )
    made = World(plan, twilio, log, engine)
    engine.start()
    engine.open(1, histories=histories_of(log), ends={PARTITION: len(log.records)})
    try:
        yield made
    finally:
        await engine.stop()
    if made.broken:
        raise made.broken[0]
