"""The dispatch stage: takes admitted messages from the four class topics, paces and sends them, and finishes each when
its end is written down.

Agents never wait: how much is held is bounded by delivery windows (`window`), not by back-pressure. All that is decided
lies in the scheduler, all that is done in the sender.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from prometheus_client import REGISTRY, CollectorRegistry

from connectors.health import Health, HealthBoard, Progress
from connectors.kafka.app import StageApp
from connectors.kafka.intake import Intake
from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.topic_partition import TP
from connectors.twilio.account import Account
from connectors.twilio.errors import ErrorPolicy
from connectors.twilio.http import HttpSettings, TwilioSession
from connectors.twilio.messages import Messages
from schemas.codec import Codec
from schemas.errors import DecodeError, SchemaNotLoaded
from schemas.records import Dispatch, MessageClass, Record, Stage
from schemas.topics import dispatch_topic

from . import metrics
from .lanes import LaneTable
from .outbox import Outbox
from .scheduler import Scheduler, SchedulerSettings
from .sending import Posts, Sender, Surroundings
from .snapshot import SAMPLE_EVERY_S, LaneView
from .troubles import Troubles

log = structlog.get_logger(__name__)

STUCK_AFTER_S = 60.0
"""Not live when messages could be sent for so long and none was finished. A POST ends within 10 s."""


@dataclass(frozen=True, slots=True)
class DispatchSettings:
    """What an operator may set.

    Attributes:
        public_url: base URL of the bridge for status callbacks, without trailing slash; None sends without callbacks.
        scheduler: shares, requests in flight.
        http: timeouts of the requests to Twilio. The total timeout must not exceed the `request_timeout_s` that the
            lease was made with.
    """

    public_url: str | None
    scheduler: SchedulerSettings = field(default_factory=SchedulerSettings)
    http: HttpSettings = field(default_factory=HttpSettings)


class DispatchStage:
    """One process's share of dispatch.

    Args:
        table: lanes, groups, partitions.
        accounts: Twilio accounts by the name that lanes give.
        codec: reads and writes records.
        publisher: writes to Kafka.
        settings: see there.
        now_ms: wall clock, epoch milliseconds UTC.
        policy: what Twilio's errors mean; the table as shipped when None.
        posts: sends instead of Twilio's Messages API (tests, benchmarks).
        registry: where the gauges of the scheduler are shown; one stage per registry.

    Raises:
        ValueError: a lane names an account that is not among `accounts`.
    """

    def __init__(
        self,
        table: LaneTable,
        *,
        accounts: Mapping[str, Account],
        codec: Codec,
        publisher: DurablePublisher,
        settings: DispatchSettings,
        now_ms: Callable[[], int],
        policy: ErrorPolicy | None = None,
        posts: Posts | None = None,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        missing = sorted({lane.account for lane in table.lanes.values()} - set(accounts))
        if missing:
            raise ValueError(f"lanes use accounts that are not configured: {', '.join(missing)}")
        self.table = table
        self._registry = registry
        self._codec = codec
        self._publisher = publisher
        self._session = TwilioSession(settings.http)
        self._intake = Intake(stage=Stage.DISPATCH, codec=codec, publisher=publisher, now_ms=now_ms)
        self._outbox = Outbox(codec, publisher)
        self._troubles = Troubles(time.monotonic)
        self._progress = Progress(STUCK_AFTER_S)
        self._served: frozenset[int] = frozenset()
        self._collector: metrics.SchedulerCollector | None = None
        self._routine: asyncio.Task[None] | None = None
        self._reading: set[asyncio.Task[None]] = set()
        self._app: StageApp
        self.scheduler = Scheduler(table, random=random.random, settings=settings.scheduler)
        self.sender = Sender(
            self.scheduler,
            posts=posts or Messages(self._session, now_ms=now_ms, policy=policy),
            outbox=self._outbox,
            troubles=self._troubles,
            world=Surroundings(
                accounts=accounts,
                public_url=settings.public_url,
                may_act=self._may_act,
                broken=self._broken,
                clock=time.monotonic,
                now_ms=now_ms,
                random=random.random,
            ),
        )
        self.sender.finished = self._progress.finished
        self.view = LaneView(self.scheduler, self._troubles, owns=self._owns, clock=time.monotonic, now_ms=now_ms)

    def topics(self) -> list[str]:
        """What the stage reads."""
        return [dispatch_topic(message_class) for message_class in MessageClass]

    def window(self, tp: TP) -> int:
        """Delivery window of a partition, for `create_app`."""
        return self.table.window(tp.partition)

    def register(self, app: StageApp) -> None:
        """Add an agent for every class, and be told of assignments."""
        self._app = app
        for topic in self.topics():
            app.agent(app.topic(topic, value_type=bytes, value_serializer="raw"), name=f"dispatch {topic}")(self._agent)
        app.hooks.on_assigned(self._on_assigned)
        app.hooks.on_revoked(self._on_revoked)
        app.hooks.on_released(self._on_released)

    async def start(self) -> None:
        """Open the session to Twilio (nothing is asked yet) and begin to turn."""
        await self._session.start()
        self._collector = metrics.watch(self.scheduler, self._registry)
        self.sender.start()
        self._routine = asyncio.create_task(self._observe(), name="dispatch observer")

    async def stop(self) -> None:
        """Let go of everything unfinished; it is delivered again."""
        if self._collector is not None:
            self._registry.unregister(self._collector)
            self._collector = None
        tasks = [*self._reading, *([self._routine] if self._routine else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.sender.stop()
        await self._session.stop()

    def board(self, board: HealthBoard) -> None:
        """Add the stage's checks and its view of the lanes (`/lanes`)."""
        board.ready_when("dispatch intake", self._intake.health)
        board.ready_when("twilio", self._troubles.health)
        board.live_while("dispatch", self._live)
        board.show("lanes", self.view.show)

    def offer(self, event: Any) -> None:
        """Take a record; returns at once. It is finished when the message's end here is written down."""
        try:
            record = self._codec.decode(event.message.value or b"")
        except (DecodeError, SchemaNotLoaded):
            record = None
        if isinstance(record, Dispatch):
            self._take(record, event)
        else:
            self._read(event)

    # Records ----------------------------------------------------------------------------------------------------------

    async def _agent(self, stream: Any) -> None:
        async for event in stream.noack().events():
            self.offer(event)

    def _take(self, order: Dispatch, event: Any) -> None:
        lane = self.table.lanes.get(order.lane)
        if lane is None:
            self.sender.refuse_unknown_lane(order, event)
            return
        partition = self.table.groups[lane.group].partition
        if partition != event.message.partition:
            self._spawn(self._move(order, partition, event))
            return
        order.account = lane.account
        self.sender.take(order, event)

    def _read(self, event: Any) -> None:
        """What is no plain dispatch record: a dead letter, or one whose schema must be asked for."""
        self._spawn(self._read_slowly(event))

    async def _read_slowly(self, event: Any) -> None:
        record: Record | None = await self._intake.read(event.message, (Dispatch,))
        if record is None:
            event.ack()
        elif event.message.generation_id == self.sender.generation:
            assert isinstance(record, Dispatch)
            self._take(record, event)

    async def _move(self, order: Dispatch, partition: int, event: Any) -> None:
        """The group has another partition: only the process that serves that one may pace its lanes."""
        order.again = True
        await self._outbox.move(order, partition)
        metrics.moved.inc()
        event.ack()

    def _spawn(self, work: Any) -> None:
        async def run() -> None:
            try:
                await work
            except Exception as error:
                await self._broken(error)

        task = asyncio.ensure_future(run())
        self._reading.add(task)
        task.add_done_callback(self._reading.discard)

    # Ownership --------------------------------------------------------------------------------------------------------

    def _may_act(self) -> bool:
        return bool(self._app.consumer.holds(self.sender.generation))

    def _owns(self, lane: str) -> bool:
        return self.table.partition_of(lane) in self._served

    async def _broken(self, error: Exception) -> None:
        log.error("dispatch cannot go on", error=repr(error), exc_info=error)
        await self._app.crash(error)

    def _on_assigned(self, partitions: frozenset[TP], generation: int) -> None:
        served = frozenset(tp.partition for tp in partitions if self._app.consumer.serves(tp))
        self._take_over_pace(served - self._served)
        self._served = served
        self.sender.open(generation)

    def _take_over_pace(self, partitions: frozenset[int]) -> None:
        """Whoever served these before may have charged a largest message a moment ago."""
        now = time.monotonic()
        for name, state in self.scheduler.lanes.items():
            if self.table.partition_of(name) in partitions:
                bucket = state.pace.bucket
                bucket.hand_over(now + bucket.largest / bucket.rate, bucket.largest)

    async def _on_revoked(self, partitions: frozenset[TP]) -> None:
        await self.sender.close()

    def _on_released(self, partitions: frozenset[TP]) -> None:
        # Every rebalance takes all partitions and gives them out anew.
        self.sender.drop()
        self._progress.runnable(0)

    # Watching ---------------------------------------------------------------------------------------------------------

    async def _observe(self) -> None:
        while True:
            self.view.sample()
            self._progress.runnable(self._runnable())
            await asyncio.sleep(SAMPLE_EVERY_S)

    def _runnable(self) -> int:
        if not self._publisher.health().ok:
            return 0  # what waits for Kafka could not go on after a restart either
        return self.sender.under_way + int(self.scheduler.startable(time.monotonic()))

    def _live(self) -> Health:
        return self._progress.check()
