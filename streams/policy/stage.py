"""The policy stage: takes requests and what comes back from the wheel, gives each recipient one decision at a time,
writes decisions down and finishes the input.

    decide → state acked → dispatch (or wheel) record acked → lifecycle acked → input finished

Before a partition is served its state is restored, and every change of consent that stood on comms.consent by then is
folded into it: until that is done only changes of consent and inbound messages of the partition are served.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Protocol

import structlog

from connectors.health import Health, HealthBoard
from connectors.kafka.app import StageApp
from connectors.kafka.intake import Intake
from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.state import PartitionNotOpen, PartitionStates, PartitionTaken, Undecodable
from connectors.kafka.topic_ids import topic_id
from connectors.kafka.topic_partition import TP
from schemas.codec import Codec
from schemas.reasons import Reason
from schemas.records import MessageRequest, Stage
from schemas.topics import CONSENT, DEFERRAL_TIERS_MS, PROFILES, app_of, deferral_topic, request_topic
from streams.control.tail import ControlTail

from .case import Entry
from .config import PolicyConfig
from .consent_log import ConsentLog
from .crowds import Crowds
from .desk import ABOUT_PEOPLE, Desk
from .doors import Doors
from .intake_windows import line_limits
from .memory import Memory
from .openings import Openings
from .profile import Profile
from .putting_off import PuttingOff
from .quotas import Quotas
from .serving import WHEEL_TICK_S, Serving
from .surroundings import Surroundings
from .sweep import Sweeper
from .switchboard import Switchboard

log = structlog.get_logger(__name__)

MAX_UNDER_WAY = 1000
"""Records being decided at once. Each waits for two acknowledgements of some milliseconds: enough for 20,000/s."""

QUOTAS_EVERY_S = 5.0
"""How often it is written down what apps have used up. So much of a count a crash may lose; each time costs a record
for each app, lane and partition that was used."""

SWEEP_EVERY_S = 600.0
"""How long between two sweeps through what is remembered. What is forgotten late costs only room."""


class CustomerData(Protocol):
    """What `enrichment.Enrichment` offers."""

    async def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End; who waits gets no answer."""

    async def profile_of(self, request: MessageRequest, entry: Entry) -> Profile | None:
        """What is known of the person of a request. Raises EnrichmentUnavailable."""


class PolicyStage:
    """One process's share of policy.

    Args:
        config: the installation.
        codec: reads and writes records.
        publisher: writes to Kafka.
        states: what is remembered of people, by partition.
        kafka: how the tail of comms.control reaches Kafka.
        customer_data: what is asked about people, if anything; runs as long as the stage.
        partitions: partitions of every topic that is keyed by recipient.
        now_ms: wall clock, epoch milliseconds UTC.
    """

    def __init__(
        self,
        config: PolicyConfig,
        *,
        codec: Codec,
        publisher: DurablePublisher,
        states: PartitionStates,
        kafka: KafkaSettings,
        partitions: int,
        now_ms: Callable[[], int],
        customer_data: CustomerData | None = None,
    ) -> None:
        self._config = config
        self._publisher = publisher
        self._partitions = partitions
        self._now_ms = now_ms
        self._intake = Intake(stage=Stage.POLICY, codec=codec, publisher=publisher, now_ms=now_ms)
        self._states = states
        states.tell_undecodable(self._dead_entry)
        self._customer_data = customer_data
        self._switchboard = Switchboard(config.senders.values(), now_ms=now_ms)
        self._quotas = Quotas(
            {name: app.quota for name, app in config.apps.items()},
            partitions=partitions,
            clock=time.monotonic,
            now_ms=now_ms,
        )
        self._control = ControlTail(kafka, codec, take=self._switchboard.take, broken=self._broken)
        self._memory = Memory(states)
        self._consent_log = ConsentLog(states, self._memory, partial(topic_id, kafka, CONSENT))
        self._openings = Openings(config.senders.values())
        world = Surroundings(
            config=config,
            intake=self._intake,
            codec=codec,
            publisher=publisher,
            partitions=partitions,
            now_ms=now_ms,
            may_act=self._may_act,
            holds=self._holds,
        )
        desk = Desk(
            world,
            self._memory,
            look_up=None if customer_data is None else customer_data.profile_of,
            switched=self._switchboard.in_force,
            quotas=self._quotas,
            openings=self._openings,
        )
        self._serving = Serving(
            desk,
            crowds=Crowds(line_limits(len(config.apps), partitions)),
            putting_off=PuttingOff(world),
            max_under_way=MAX_UNDER_WAY,
            now_ms=now_ms,
            crash=self._broken,
        )
        self._doors: Doors[Any] = Doors()
        self._sweeper = Sweeper(states, self._memory, self._request_topics(), busy=self._serving.is_busy, now_ms=now_ms)
        self._chores: list[asyncio.Task[None]] = []
        self._opening: asyncio.Task[None] | None = None
        self._app: StageApp

    def topics(self) -> list[str]:
        """What the stage reads."""
        people = ABOUT_PEOPLE if self._config.profiles_by_topic else ABOUT_PEOPLE - {PROFILES}
        return [*self._request_topics(), *(deferral_topic(tier) for tier in DEFERRAL_TIERS_MS), *sorted(people)]

    def _request_topics(self) -> list[str]:
        return [request_topic(app, urgent=urgent) for app in sorted(self._config.apps) for urgent in (True, False)]

    def register(self, app: StageApp) -> None:
        """Add an agent for every topic, and be told of assignments."""
        self._app = app
        app.hooks.agents_take_batches = True
        for topic in self.topics():
            self._read(topic)
        app.hooks.on_assigned(self._on_assigned)
        app.hooks.on_revoked(self._on_revoked)
        app.hooks.on_released(self._on_released)
        app.hooks.on_loss(self._consent_log.lost)
        app.hooks.from_start = self._consent_log.from_start

    def read_strangers(self, found: Mapping[str, int]) -> None:
        """Read the request topics of apps that are not configured, too: what lies there is denied by name, not left
        without an answer. To be called after `register` and before the app runs.

        Args:
            found: every topic there is, with its partition count.
        """
        ours = set(self.topics())
        for topic, count in sorted(found.items()):
            if topic in ours or app_of(topic) is None:
                continue
            if count != self._partitions:
                # It would not be assigned together with the others.
                log.warning("topic of no configured app is not read", topic=topic, partitions=count)
                continue
            log.warning("requests of an app that is not configured will be denied", topic=topic)
            self._read(topic)

    def _read(self, topic: str) -> None:
        app = self._app
        app.agent(app.topic(topic, value_type=bytes, value_serializer="raw"), name=f"policy {topic}")(self._agent)

    async def start(self) -> None:
        """Begin to turn the wheel, and to forget what nobody needs."""
        await self._states.start()
        await self._control.start()
        if self._customer_data is not None:
            await self._customer_data.start()
        self._serving.start()
        self._chores = [
            asyncio.create_task(self._serving.turn_wheel(), name="policy wheel"),
            asyncio.create_task(self._forget(), name="policy sweep"),
            asyncio.create_task(self._write_quotas(), name="policy quotas"),
        ]

    async def stop(self) -> None:
        """Let go of everything unfinished; it is delivered again."""
        tasks = [*self._chores, *([self._opening] if self._opening else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(self._serving.stop(), *tasks, return_exceptions=True)
        await self._control.stop()
        if self._customer_data is not None:
            await self._customer_data.stop()
        await self._states.stop()

    def board(self, board: HealthBoard) -> None:
        """Add the stage's checks."""
        board.ready_when("policy intake", self._intake.health)
        board.ready_when("policy state", self._states.health)
        board.ready_when("consent", self._doors.health)
        board.live_while("policy", self._live)

    def offer(self, event: Any) -> None:
        """Take a record; returns at once. It is finished when all that follows from it was acknowledged."""
        message = event.message
        if message.topic not in ABOUT_PEOPLE and not self._doors.may_enter(message.partition, event):
            return
        self._serving.add(event)

    async def _agent(self, stream: Any) -> None:
        async for batch in stream.noack():
            for event in batch:
                self.offer(event)

    # Chores -----------------------------------------------------------------------------------------------------------

    async def _forget(self) -> None:
        try:
            while True:
                await asyncio.sleep(SWEEP_EVERY_S)
                await self._sweeper.sweep(self._app.consumer)
        except Exception as error:
            log.exception("policy cannot forget")
            await self._app.crash(error)

    async def _write_quotas(self) -> None:
        try:
            while True:
                await asyncio.sleep(QUOTAS_EVERY_S)
                await self._keep_quotas()
        except Exception as error:
            log.exception("policy cannot write down what apps have used up")
            await self._app.crash(error)

    async def _keep_quotas(self) -> None:
        for home, counts in self._quotas.changes().items():
            try:
                await self._memory.keep_quotas(home, counts)
            except (PartitionNotOpen, PartitionTaken):
                continue  # its owner by now has what was written before

    async def _dead_entry(self, record: Undecodable) -> None:
        fix = "Find out who writes to it beside policy; the record is passed over."
        await self._intake.dead(record, reason=Reason.UNDECODABLE, detail=record.why, fix=fix)

    async def _broken(self, error: Exception) -> None:
        await self._app.crash(error)

    # Ownership --------------------------------------------------------------------------------------------------------

    def _holds(self, event: Any) -> bool:
        return self._app.consumer.holds(event.message.generation_id)  # type: ignore[no-any-return]  # Faust is untyped

    async def _may_act(self, event: Any) -> bool:
        """True with no await left before the act; waits while the lease is in doubt, False once the record is another
        owner's."""
        consumer = self._app.consumer
        generation = event.message.generation_id
        while not consumer.holds(generation):
            if generation != consumer.generation:
                return False
            await asyncio.sleep(WHEEL_TICK_S)
        return True

    async def _on_assigned(self, partitions: frozenset[TP], generation: int) -> None:
        homes = sorted({tp.partition for tp in partitions})
        await self._control.caught_up()
        await self._lease()  # opening takes a partition from whoever has it
        await asyncio.gather(*(self._states.open(home) for home in homes))
        await self._consent_log.opened(homes)
        self._quotas.partitions_held(homes)
        for home in homes:
            self._openings.restore(home, self._memory.openings(home))
            self._quotas.restore(home, self._memory.quotas(home))
        ends = await self._app.consumer.ends([tp for tp in partitions if tp.topic == CONSENT])
        # Where this worker does not have a partition's consent, as may be while a new version rolls out, the door stays
        # closed until a rebalance brings them together: somebody else reads the consent, but nobody folds it here.
        self._doors.close({home: ends.get(TP(CONSENT, home), 0) for home in homes})
        self._serving.resume()
        self._opening = asyncio.create_task(self._open_doors(generation), name="policy doors")

    async def _lease(self) -> None:
        while True:
            if self._app.lease.valid():
                return
            await asyncio.sleep(WHEEL_TICK_S)

    async def _open_doors(self, generation: int) -> None:
        consumer = self._app.consumer
        try:
            while self._doors.closed and consumer.generation == generation:
                for home, end in self._doors.closed.items():
                    if not await consumer.finished_to(TP(CONSENT, home), end) or consumer.generation != generation:
                        continue
                    await self._consent_log.read(home)
                    if consumer.generation == generation:
                        for event in self._doors.open(home):
                            self.offer(event)
                await asyncio.sleep(WHEEL_TICK_S)
        except (PartitionNotOpen, PartitionTaken):
            return  # another assignment follows
        except Exception as error:
            log.exception("policy cannot tell whether consent was read")
            await self._app.crash(error)

    async def _on_revoked(self, partitions: frozenset[TP]) -> None:
        await self._serving.suspend()

    async def _on_released(self, partitions: frozenset[TP]) -> None:
        # Every rebalance takes all partitions and gives them out anew.
        self._doors.close({})
        homes = self._states.partitions
        self._consent_log.drop(homes)
        await self._keep_quotas()
        await asyncio.gather(*(self._states.close(home) for home in homes))
        for home in homes:
            self._openings.drop(home)
        self._sweeper.let_go()
        self._serving.drop()

    # Health -----------------------------------------------------------------------------------------------------------

    def _live(self) -> Health:
        if not (self._publisher.health().ok and self._intake.health().ok):
            # What waits for Kafka or the registry could not go on after a restart either.
            self._serving.progress.runnable(0)
            self._serving.tell_progress()
        return self._serving.progress.check()
