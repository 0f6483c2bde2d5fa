"""The dispatch stage: takes admitted messages from the four class topics, paces and sends them, and finishes each when
its end is written down.

Agents never wait: how much is held is bounded by delivery windows (`window`), not by back-pressure. All that is decided
lies in the scheduler, all that is done in the sender.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import structlog
from prometheus_client import REGISTRY, CollectorRegistry

from connectors.health import Health, HealthBoard, Progress
from connectors.kafka.app import StageApp
from connectors.kafka.asking import Stopped
from connectors.kafka.intake import Intake
from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.tail import Tail
from connectors.kafka.topic_partition import TP
from connectors.twilio.account import Account
from connectors.twilio.errors import ErrorPolicy
from connectors.twilio.http import TwilioSession
from connectors.twilio.messages import Messages
from schemas.codec import Codec
from schemas.reasons import Reason
from schemas.records import Control, MessageClass, Stage
from schemas.topics import CANCELLATIONS, CONSENT, CONTROL, dispatch_topic
from streams.control.places import places_of
from streams.control.switches import Aspect
from streams.control.tail import ControlTail

from . import metrics
from .arrivals import Arrivals
from .backlog_watch import BacklogWatch
from .changes import FRESH_S, KEPT_MS, Changes
from .day_caps import DayCaps
from .day_counts import DayCounts
from .engine import Engine
from .jobs import Job
from .lanes import LaneTable
from .move_reports import MoveReports
from .moving import Moving, PlacementChanged
from .overflow import Overflow
from .pace_log import Rates
from .positions import replay_start
from .replay import Replay
from .scheduler import Scheduler
from .sending import Surroundings
from .snapshot import SAMPLE_EVERY_S, LaneView
from .stage_settings import DispatchSettings
from .switching import Switching

log = structlog.get_logger(__name__)

STUCK_AFTER_S = 60.0
"""Not live when messages could be sent for so long and none was finished. A POST ends within 10 s."""


class DispatchStage:
    """One process's share of dispatch.

    Args:
        table: lanes, groups, partitions.
        accounts: Twilio accounts by the name that lanes give.
        kafka: how Kafka is reached, to read the attempts log.
        codec: reads and writes records.
        publisher: writes to Kafka.
        settings: see there.
        now_ms: wall clock, epoch milliseconds UTC.
        policy: what Twilio's errors mean; the table as shipped when None.
        registry: where the gauges of the scheduler are shown; one stage per registry.

    Raises:
        ValueError: a lane names an account that is not among `accounts`.
    """

    def __init__(
        self,
        table: LaneTable,
        *,
        accounts: Mapping[str, Account],
        kafka: KafkaSettings,
        codec: Codec,
        publisher: DurablePublisher,
        settings: DispatchSettings,
        now_ms: Callable[[], int],
        policy: ErrorPolicy | None = None,
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        missing = sorted({lane.account for lane in table.lanes.values()} - set(accounts))
        if missing:
            raise ValueError(f"lanes use accounts that are not configured: {', '.join(missing)}")
        self.table = table
        self._codec = codec
        self._publisher = publisher
        self._now_ms = now_ms
        self._registry = registry
        self._session = TwilioSession(settings.http)
        self._intake = Intake(stage=Stage.DISPATCH, codec=codec, publisher=publisher, now_ms=now_ms)
        self._replay = Replay(kafka, codec, table, now_ms=now_ms, places=self._places)
        self._progress = Progress(STUCK_AFTER_S)
        self._served: frozenset[int] = frozenset()
        self._collector: metrics.SchedulerCollector | None = None
        self._routine: asyncio.Task[None] | None = None
        self._app: StageApp
        self._consumer: Any = None
        self.scheduler = Scheduler(table, random=random.random, settings=settings.scheduler)
        self.changes = Changes(
            codec, now_ms=now_ms, age_s=lambda: self.tail.age_s(), brands=settings.brands, by_law=settings.by_law
        )
        self.day_caps = DayCaps(table)
        self.tail = Tail(kafka, (CONSENT, CANCELLATIONS), keep_ms=KEPT_MS, take=self.changes.take, now_ms=now_ms)
        self.engine = Engine(
            self.scheduler,
            twilio=Messages(self._session, now_ms=now_ms, policy=policy),
            codec=codec,
            publisher=publisher,
            find=self._replay.find,
            callbacks=self._replay.callbacks,
            world=Surroundings(
                accounts=accounts,
                public_url=settings.public_url,
                may_act=self._may_act,
                clock=time.monotonic,
                now_ms=now_ms,
                random=random.random,
                changes=self.changes,
                day_caps=self.day_caps,
            ),
            # No other process may have it, not even one that is thought to be gone: some of what the log says counts
            # for its writer only.
            owner=f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(2)}",
            broken=self._broken,
            finished=self._progress.finished,
            settle_s=settings.settle_s,
            resends=settings.resends,
            places=self._places,
            errors=policy,
        )
        self.overflow = Overflow(
            table,
            self.scheduler,
            self.engine.tenure,
            give_back=partial(self._give_back, Reason.LANE_FULL),
            span=lambda tp: self._consumer.held(tp),
        )
        self.switching = Switching(
            self.scheduler,
            troubles=self.engine.troubles,
            stirred=self.engine.sender.kick,
            clock=time.monotonic,
            now_ms=now_ms,
        )
        self.moving = Moving(
            table,
            self.switching.switches,
            self.scheduler,
            self.engine.tenure,
            give_back=partial(self._give_back, Reason.LANE_MOVED),
            serves=lambda partition: partition in self._served,
            clock=time.monotonic,
            now_ms=now_ms,
        )
        self._arrivals = Arrivals(
            table,
            self.engine,
            codec=codec,
            intake=self._intake,
            moving=self.moving,
            day_caps=self.day_caps,
            overflow=self.overflow,
            now_ms=now_ms,
        )
        self._backlog = BacklogWatch(
            self.scheduler,
            consumer=lambda: self._consumer,
            owns=self._owns,
            may_act=self._may_act,
            write=self._write_control,
            broken=self._broken,
            clock=time.monotonic,
            now_ms=now_ms,
        )
        self._moves = MoveReports(
            table,
            self.moving,
            self.engine.tenure,
            topics=self.topics(),
            consumer=lambda: self._consumer,
            may_act=self._may_act,
            apply=self._switch,
            write=self._write_control,
            broken=self._broken,
            now_ms=now_ms,
        )
        self._day_counts = DayCounts(
            self.day_caps,
            ends=lambda: self.engine.positions.ends,
            write=lambda key, record: self.engine.under_way.spawn(self._write_control(key, record)),
            now_ms=now_ms,
        )
        self._control = ControlTail(kafka, codec, take=self._switch, broken=self._broken)
        self.view = LaneView(self.scheduler, self.engine.troubles, owns=self._owns, clock=time.monotonic, now_ms=now_ms)
        self.view.day_caps = self._day_counts.show
        self.view.pause_of = self.switching.pause_of

    def topics(self) -> list[str]:
        """What the stage reads."""
        return [dispatch_topic(message_class) for message_class in MessageClass]

    def window(self, tp: TP) -> int:
        """Delivery window of a partition, for `create_app`."""
        return self.table.window(tp.partition)

    def register(self, app: StageApp) -> None:
        """Add an agent for every class, and be told of assignments and commits."""
        self._app = app
        app.hooks.agents_take_batches = True
        for topic in self.topics():
            channel = app.topic(topic, value_type=bytes, value_serializer="raw")
            app.agent(channel, name=f"dispatch {topic}")(self._arrivals.agent)
        app.hooks.on_assigned(self._on_assigned)
        app.hooks.on_revoked(self._on_revoked)
        app.hooks.on_released(self._on_released)
        app.hooks.on_committed(self.engine.committed)
        app.hooks.position_meta = self.engine.positions.metadata

    async def start(self) -> None:
        """Open the session to Twilio (nothing is asked yet) and begin to turn."""
        await self._session.start()
        await self._control.start()
        self.tail.start()
        self._collector = metrics.watch(
            self.scheduler,
            self._registry,
            sending=self.view.sending,
            unread=lambda: self._backlog.seen,
            day_caps=self._day_counts.show,
        )
        self.engine.start()
        self._routine = asyncio.create_task(self._observe(), name="dispatch observer")
        self._moves.start()
        self._backlog.start()

    async def stop(self) -> None:
        """Let go of everything unfinished; it is delivered again."""
        self._replay.stop()
        # Together: where Kafka is away each of them may have to wait for a question that it has just asked.
        await asyncio.gather(self._backlog.stop(), self._moves.stop(), self._control.stop(), self.tail.stop())
        if self._collector is not None:
            self._registry.unregister(self._collector)
            self._collector = None
        if self._routine is not None:
            self._routine.cancel()
            await asyncio.gather(self._routine, return_exceptions=True)
        await self.engine.stop()
        await self._session.stop()

    def board(self, board: HealthBoard) -> None:
        """Add the stage's checks and its view of the lanes (`/lanes`)."""
        board.ready_when("dispatch intake", self._intake.health)
        board.ready_when("twilio", self.engine.troubles.health)
        board.ready_when("consent tail", self._tail_health)
        board.live_while("dispatch", self._live)
        board.show("lanes", self.view.show)

    # Switches ---------------------------------------------------------------------------------------------------------

    def _switch(self, key: bytes, record: Control | None) -> None:
        if self._backlog.take(key, record) or self._day_counts.take(key, record):
            return
        self.switching.take(key, record)
        if key.endswith(Aspect.PLACE.value.encode()):
            self.moving.take(record)
            self.engine.sender.kick()

    def _give_back(self, reason: Reason, job: Job) -> None:
        self.engine.under_way.spawn(self.engine.settler.give_up(job, reason))

    # Ownership --------------------------------------------------------------------------------------------------------

    def _may_act(self) -> bool:
        consumer = self._consumer
        return consumer is not None and bool(consumer.holds(self.engine.tenure.generation))

    def _places(self, group: str) -> frozenset[int]:
        return places_of(self.switching.switches.place(group))

    def _owns(self, lane: str) -> bool:
        return self.moving.place(self.table.lanes[lane].group).home in self._served

    async def _broken(self, error: Exception) -> None:
        if isinstance(error, Stopped):
            return  # what was being read when the stage stopped
        log.error("dispatch cannot go on", error=repr(error), exc_info=error)
        await self._app.crash(error)

    async def _on_assigned(self, partitions: frozenset[TP], generation: int) -> None:
        consumer = self._consumer = self._app.consumer
        committed = await consumer.read_committed()
        served = {tp.partition for tp in partitions if consumer.serves(tp)}
        starts = {
            partition: replay_start(
                committed[TP(topic, partition)].metadata if TP(topic, partition) in committed else None
                for topic in self.topics()
            )
            for partition in served
        }
        began = time.monotonic()
        await self._control.caught_up()
        restored = await self._replay.restore(starts, Rates.in_force(self.scheduler), self.day_caps)
        for tp, commit in committed.items():
            restored.histories.committed(tp, commit.offset)  # nobody needs to wait for what does not come again
        try:
            self.moving.check()
        except PlacementChanged as changed:
            log.error("dispatch refuses to serve", why=str(changed))
            raise
        self.switching.again()
        restored.pace.hand_over(self.scheduler, time.monotonic(), self._now_ms())
        await self.tail.read_once()
        self._served = frozenset(served)
        self.moving.owe()
        await self._moves.assigned()
        self.engine.open(
            generation,
            histories=restored.histories,
            ends=restored.ends,
            elsewhere={tp: commit.metadata for tp, commit in committed.items() if tp.partition not in served},
        )
        log.info(
            "attempts restored",
            partitions=len(served),
            records=restored.records,
            unfinished=len(restored.histories),
            seconds=round(time.monotonic() - began, 2),
        )

    async def _on_revoked(self, partitions: frozenset[TP]) -> None:
        await self.engine.close()

    def _on_released(self, partitions: frozenset[TP]) -> None:
        # Every rebalance takes all partitions and gives them out anew.
        self.engine.drop()
        self._progress.runnable(0)

    # Watching ---------------------------------------------------------------------------------------------------------

    async def _observe(self) -> None:
        while True:
            self.view.sample()
            self.switching.turn()
            if self._may_act():
                self._day_counts.turn()
                self.overflow.sweep(self._consumer.partitions)
            metrics.tail_age.set(self.tail.age_s())
            self._progress.runnable(self._runnable())
            await asyncio.sleep(SAMPLE_EVERY_S)

    async def _write_control(self, key: bytes, record: Control) -> None:
        await self._publisher.publish(CONTROL, self._codec.encode(record), key=key)

    def _runnable(self) -> int:
        if not self._publisher.health().ok:
            return 0  # what waits for Kafka could not go on after a restart either
        return self.engine.under_way.count + int(self.scheduler.startable(time.monotonic()))

    def _tail_health(self) -> Health:
        age_s = self.tail.age_s()
        fresh = age_s < FRESH_S
        return Health(fresh, f"{self.changes.held} changes held" if fresh else f"nothing known for {age_s:.1f} s")

    def _live(self) -> Health:
        return self._progress.check()
