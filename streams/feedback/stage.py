"""The feedback stage: folds what is said of a message into its state, publishes each change, and passes on what people
write.

    fold → StatusUpdate acked → input finished

What it remembers is a copy of comms.lifecycle and no more. On assignment it reads back what was finished lately, so
that it goes on where the last owner was; what lies further back is searched for when something more is said of it. So a
state that was published is never taken back by a later fact that knows less.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from connectors.health import Health, HealthBoard, Progress
from connectors.kafka.app import StageApp
from connectors.kafka.intake import Intake
from connectors.kafka.log_reader import LogReader
from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topic_partition import TP
from connectors.twilio.errors import ErrorPolicy
from schemas.codec import Codec
from schemas.records import Callback, Inbound, LifecycleEvent, Stage
from schemas.topics import FEEDBACK_INBOUND, FEEDBACK_STATUS, INBOUND, LIFECYCLE

from . import metrics
from .aftermath import Aftermath
from .facts import Fact, fact_of, is_known_word, is_repeat
from .inbound import understood
from .memory import Memory, Message
from .reading import FactReader
from .recall import GRACE_S, Recall
from .sender_health import DEFAULTS, SenderHealth, SenderHealthSettings

log = structlog.get_logger(__name__)

STUCK_AFTER_S = 60.0
"""Not live when facts could be folded for so long and none was."""

HOUSEKEEPING_S = 1.0
LEASE_POLL_S = 0.05

EDGE_MS = 60_000
"""How much sooner than policy's own event something else may be said of a round. Of what is read back, the first minute
may lack such things."""

TRACEPARENT = "traceparent"


@dataclass(frozen=True, slots=True)
class FeedbackSettings:
    """How much is remembered, and when a sender fails too often.

    Attributes:
        keep_s: a message of which nothing was said for so long is forgotten; as far is read back on assignment.
        restore_records: most records read back of one partition.
        max_messages: most messages remembered (about 1.5 kB each).
        max_folded: most of them kept folded (about 4 kB each).
        grace_s: how long policy's event may come after what else is said of a message.
        sender_health: when a lane is to be avoided.
        budgets: the brand's budget of the lanes that have one.
    """

    keep_s: float = 24 * 3600.0
    restore_records: int = 200_000
    max_messages: int = 300_000
    max_folded: int = 20_000
    grace_s: float = GRACE_S
    sender_health: SenderHealthSettings = DEFAULTS
    budgets: Mapping[str, str] = field(default_factory=dict)


class FeedbackStage:
    """One process's share of feedback.

    Args:
        kafka: how Kafka is reached, to read the log again.
        codec: reads and writes records.
        publisher: writes to Kafka.
        now_ms: wall clock, epoch milliseconds UTC.
        errors: what Twilio's errors mean; the table as shipped when None.
    """

    def __init__(
        self,
        *,
        kafka: KafkaSettings,
        codec: Codec,
        publisher: DurablePublisher,
        now_ms: Callable[[], int],
        settings: FeedbackSettings = FeedbackSettings(),
        errors: ErrorPolicy | None = None,
    ) -> None:
        self._kafka = kafka
        self._codec = codec
        self._publisher = publisher
        self._now_ms = now_ms
        self._settings = settings
        self._intake = Intake(stage=Stage.FEEDBACK, codec=codec, publisher=publisher, now_ms=now_ms)
        self._errors = errors or ErrorPolicy()
        self._facts = FactReader(codec, getattr(codec, "load", _nothing_to_load), self._errors)
        self._aftermath = Aftermath(codec, publisher, self._errors, now_ms=now_ms, budgets=settings.budgets)
        self._health = SenderHealth(settings.sender_health, self._errors)
        self._memory = self._empty_memory()
        self._reader = LogReader(kafka)
        self._recall = Recall(self._facts, self._resume_soon, grace_s=settings.grace_s)
        self._tasks: set[asyncio.Task[None]] = set()
        self._routines: list[asyncio.Task[None]] = []
        self._progress = Progress(STUCK_AFTER_S)
        self._app: StageApp

    def topics(self) -> list[str]:
        """What the stage reads."""
        return [LIFECYCLE, INBOUND]

    def register(self, app: StageApp) -> None:
        """Add the agents, and be told of assignments."""
        self._app = app
        for topic, agent in ((LIFECYCLE, self._take_facts), (INBOUND, self._take_inbound)):
            app.agent(app.topic(topic, value_type=bytes, value_serializer="raw"), name=f"feedback {topic}")(agent)
        app.hooks.on_assigned(self._on_assigned)
        app.hooks.on_revoked(self._on_revoked)
        app.hooks.on_released(self._on_released)

    async def start(self) -> None:
        """Begin to forget, and to search for what was forgotten."""
        metrics.remembered.set_function(lambda: len(self._memory))
        metrics.parked.set_function(lambda: len(self._recall))
        self._routines = [
            asyncio.create_task(self._or_crash(self._recall.run()), name="feedback recall"),
            asyncio.create_task(self._or_crash(self._keep_house()), name="feedback housekeeping"),
        ]

    async def stop(self) -> None:
        """Let go of everything unfinished; it is delivered again."""
        self._reader.stop()
        tasks = [*self._routines, *self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def board(self, board: HealthBoard) -> None:
        """Add the stage's checks."""
        board.ready_when("feedback intake", self._intake.health)
        board.live_while("feedback", self._live)

    def offer(self, event: Any) -> None:
        """Take a record; returns at once. It is finished when what follows from it was acknowledged."""
        serve = self._serve_inbound if event.message.topic == INBOUND else self._serve_fact
        self._spawn(serve(event))

    # Facts ------------------------------------------------------------------------------------------------------------

    async def _serve_fact(self, event: Any) -> None:
        message = event.message
        record = await self._intake.read(message, (LifecycleEvent, Callback))
        if record is None:
            event.ack()
            return
        if not await self._may_act(event):
            return
        assert isinstance(record, LifecycleEvent | Callback)
        fact = fact_of(record, self._errors)
        _count(record, fact)
        known = self._memory.add(fact, message.value, self._now_ms())
        if not known.tellable:
            self._recall.park(fact.message_id, TP(*message.tp), event)
            return
        waited = self._recall.release(fact.message_id)
        self._join_again(waited)
        await self._tell(known, [*waited, event], again=is_repeat(record) or self._is_asked_again(waited))

    async def _tell(self, known: Message, events: list[Any], *, again: bool = False) -> None:
        """Tell a change of the message's state; the state as it is where the app asked `again`."""
        following = self._aftermath.of(known)
        if following is not None and following.event is not None:
            # Known at once, so that nothing that comes meanwhile tells the message as ended.
            self._memory.add(fact_of(following.event), self._codec.encode(following.event), self._now_ms())
        if following is not None:
            await self._aftermath.write(following)
            if not await self._may_act(events[-1]):
                return
            # More may have been said of it meanwhile, or it was folded anew.
            known = self._join_again(events) or known
        update = known.fold.update()
        if update != known.published or again:
            if update.delivered_at is not None and update.requested_at is not None and _is_first(known):
                metrics.delivery_seconds.observe((update.delivered_at - update.requested_at) / 1000)
            known.published = update
            metrics.updates(update.status).inc()
            # Handed over in the order of the changes; the producer keeps it.
            await self._publisher.publish(
                FEEDBACK_STATUS,
                self._codec.encode(update),
                key=update.message_id.encode(),
                headers=_trace_of(events[-1].message),
            )
        outcome = known.fold.outcome()
        if outcome is not None and outcome != known.counted:
            word = self._health.count(known.counted, outcome, self._now_ms())
            known.counted = outcome
            if word is not None:
                await self._aftermath.tell_health(word)
        for event in events:
            event.ack()

    def _resume_soon(self, message_id: str, events: list[Any], found: list[bytes]) -> None:
        self._spawn(self._resume(message_id, events, found))

    async def _resume(self, message_id: str, events: list[Any], found: list[bytes]) -> None:
        if await self._may_act(events[0]):
            known = self._memory.searched(message_id, found, self._now_ms())
            self._join_again(events)
            await self._tell(known, events, again=self._is_asked_again(events))

    def _is_asked_again(self, events: list[Any]) -> bool:
        return any(self._facts.is_repeat(event.message.value) for event in events)

    def _join_again(self, events: list[Any]) -> Message | None:
        """What waited may have been forgotten meanwhile. Returns the message of the last."""
        known = None
        for event in events:
            fact = self._facts.read(event.message.value)
            if fact is not None:
                known = self._memory.add(fact, event.message.value, self._now_ms())
        return known

    # People's messages ------------------------------------------------------------------------------------------------

    async def _serve_inbound(self, event: Any) -> None:
        record = await self._intake.read(event.message, (Inbound,))
        if record is None:
            event.ack()
            return
        if not await self._may_act(event):
            return
        assert isinstance(record, Inbound)
        inbound = understood(record)
        metrics.inbound(inbound.keyword_intent or "").inc()
        await self._publisher.publish(
            FEEDBACK_INBOUND,
            self._codec.encode(inbound),
            key=inbound.recipient.encode(),
            headers=_trace_of(event.message),
        )
        event.ack()

    # Ownership --------------------------------------------------------------------------------------------------------

    async def _may_act(self, event: Any) -> bool:
        """True with no await left before the act; waits while the lease is in doubt, False once the record is another
        owner's."""
        consumer = self._app.consumer
        generation = event.message.generation_id
        while not consumer.holds(generation):
            if generation != consumer.generation:
                return False
            await asyncio.sleep(LEASE_POLL_S)
        return True

    async def _on_assigned(self, partitions: frozenset[TP], generation: int) -> None:
        self._memory = memory = self._empty_memory()
        self._reader = reader = LogReader(self._kafka)
        committed = await self._app.consumer.read_committed()
        offsets = {
            TP(*tp): committed[tp].offset if tp in committed else 0 for tp in partitions if tp.topic == LIFECYCLE
        }
        if offsets:
            started = self._now_ms()
            try:
                count = await asyncio.to_thread(self._read_back, reader, memory, offsets, started)
            except asyncio.CancelledError:
                reader.stop()
                raise
            memory.forget(started)
            metrics.restored.inc(count)
            log.info("remembered", messages=len(memory), facts=count, milliseconds=self._now_ms() - started)
        self._recall.begin(reader)

    def _read_back(self, reader: LogReader, memory: Memory, committed: dict[TP, int], now_ms: int) -> int:
        """To the log's end: what lies behind the committed offset is delivered again, but may have been published."""
        since_ms = now_ms - int(self._settings.keep_s * 1000)
        stretches = reader.recent(committed, since_ms, self._settings.restore_records)
        edges: dict[int, int] = {}

        def take(message: Any) -> None:
            if message.value() is None or message.key() is None:
                return
            at_ms = message.timestamp()[1]
            edge = edges.setdefault(message.partition(), at_ms + EDGE_MS)
            self._facts.prepare(message.value(), reader.stopped)
            memory.restore(
                message.key().decode(errors="replace"),
                message.value(),
                at_ms,
                finished=message.offset() < committed[TP(message.topic(), message.partition())],
                cut=stretches[TP(message.topic(), message.partition())].start > 0 and at_ms < edge,
            )

        return reader.read(stretches, take)

    async def _on_revoked(self, partitions: frozenset[TP]) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _on_released(self, partitions: frozenset[TP]) -> None:
        # Every rebalance takes all partitions and gives them out anew.
        self._reader.stop()
        self._recall.end()
        self._memory = self._empty_memory()

    def _empty_memory(self) -> Memory:
        return Memory(
            self._facts.read,
            keep_ms=int(self._settings.keep_s * 1000),
            max_messages=self._settings.max_messages,
            max_folded=self._settings.max_folded,
        )

    # Tasks and health -------------------------------------------------------------------------------------------------

    async def _take_facts(self, stream: Any) -> None:
        async for event in stream.noack().events():
            self.offer(event)

    async def _take_inbound(self, stream: Any) -> None:
        async for event in stream.noack().events():
            self.offer(event)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._or_crash(work))
        self._tasks.add(task)
        task.add_done_callback(self._done)
        self._progress.runnable(len(self._tasks))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._progress.finished()
        self._progress.runnable(len(self._tasks))

    async def _or_crash(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            log.exception("feedback cannot go on")
            await self._app.crash(error)

    async def _keep_house(self) -> None:
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            metrics.forgotten.inc(self._memory.forget(self._now_ms()))
            for lane in self._health.seen(self._now_ms()):
                metrics.sender_health(lane)

    def _live(self) -> Health:
        if not (self._publisher.health().ok and self._intake.health().ok):
            self._progress.runnable(0)  # what waits for Kafka or the registry could not go on after a restart either
            self._progress.runnable(len(self._tasks))
        return self._progress.check()


def _nothing_to_load(schema_id: int) -> None:
    raise LookupError(f"this codec knows no registry, and yet asks for schema {schema_id}")


def _is_first(known: Message) -> bool:
    return known.published is None or known.published.delivered_at is None


def _trace_of(message: Any) -> list[tuple[str, bytes]]:
    return [(name, value) for name, value in message.headers or () if name == TRACEPARENT]


def _count(record: LifecycleEvent | Callback, fact: Fact) -> None:
    if isinstance(record, LifecycleEvent):
        metrics.facts(record.stage, fact.status).inc()
        return
    metrics.facts("twilio", fact.status).inc()
    if not is_known_word(record):
        metrics.unknown_words.inc()
