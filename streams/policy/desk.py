"""What is done with one record in policy, from its bytes to the moment it is finished."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectors.kafka.origin import headers_of, origin_of, republish_to_right_partition, time_in, written_at
from connectors.kafka.partitioning import partition_of
from schemas.reasons import Reason
from schemas.records import Cancellation, Deferral, MessageRequest, Stage
from schemas.topics import CANCELLATIONS, CONSENT, INBOUND, LIFECYCLE, PROFILES, app_of, deferral_topic, is_urgent
from streams.numbers import E164

from . import metrics
from .cancellations import passed_on
from .case import Entry, Origin, message_id_of
from .decisions import Decisions, LookUp
from .fallback import next_request
from .memory import Memory
from .openings import Openings
from .people import People
from .quotas import Quotas
from .story import tell_lost_request
from .surroundings import Surroundings
from .switchboard import Switched
from .trace import trace_headers, traceparent_of
from .verdict import Deny
from .wheel import SHORTEST_MS, TIER_OF_TOPIC, tier_for
from .wheel import is_urgent as is_urgent_on_wheel

ABOUT_PEOPLE = frozenset({CONSENT, INBOUND, PROFILES})
"""Topics of what policy learns of people; all others ask it for something."""

DAY_LOOK_MS = 3_600_000
"""What waits for a carrier's next day looks so often whether an operator has opened the day again; whichever it was,
for its record names neither brand nor carrier. A look is a hop: of 100,000 messages it costs 28 a second."""
REOPENING_HEARD_MS = 5_000
"""So long dispatch may give messages back that a day is open for again: it hears of it within a second, and clocks
differ."""


@dataclass(frozen=True, slots=True)
class HoldUntil:
    """Serve the record again at this moment, epoch milliseconds UTC; it is unfinished till then."""

    moment: int


@dataclass(frozen=True, slots=True)
class TakeTurnAs:
    """Serve the record again when it is this recipient's turn: its own key named somebody else."""

    key: bytes


class Desk:
    """Serves one record of a recipient at a time; the stage sees to that.

    Args:
        memory: what is remembered of people.
        look_up: customer data; nothing is known of anybody where it is None.
        switched: what operators and trouble have switched off at this moment.
        quotas: what apps have used up.
        openings: whom WhatsApp senders wrote to first.
    """

    def __init__(
        self,
        world: Surroundings,
        memory: Memory,
        *,
        look_up: LookUp | None = None,
        switched: Callable[[], Switched] = Switched,
        quotas: Quotas | None = None,
        openings: Openings | None = None,
    ) -> None:
        self._config = world.config
        self._memory = memory
        self._intake = world.intake
        self._codec = world.codec
        self._publisher = world.publisher
        self._partitions = world.partitions
        self._now_ms = world.now_ms
        self._may_act = world.may_act
        self._switched = switched
        self._people = People(memory, intake=world.intake)
        self._decisions = Decisions(world, memory, look_up=look_up, switched=switched, quotas=quotas, openings=openings)

    async def serve(self, event: Any, turn: object) -> HoldUntil | TakeTurnAs | None:
        """Decide on a record, write that down, finish it. `turn` is the key under which it has its turn. Returns what
        else must happen before that, if anything."""
        message = event.message
        if message.topic in TIER_OF_TOPIC:
            deferral = await self._intake.read(message, (Deferral,))
            if deferral is None:
                event.ack()
                return None
            assert isinstance(deferral, Deferral)
            return await self._serve_returned(event, deferral, turn)
        if message.topic in ABOUT_PEOPLE:
            return await self._serve_person(event, turn)
        record = await self._intake.read(message, (MessageRequest, Cancellation))
        if record is None:
            event.ack()
            return None
        assert isinstance(record, MessageRequest | Cancellation)
        return await self._serve_new(event, record, turn)

    # What people want and write ---------------------------------------------------------------------------------------

    async def _serve_person(self, event: Any, turn: object) -> TakeTurnAs | None:
        message = event.message
        change = await self._people.read(message)
        if change is None:
            event.ack()
            return None
        recipient = change.recipient.encode()
        if partition_of(recipient, self._partitions) != message.partition:
            await self._put_right(event, recipient)
            return None
        if turn != recipient:
            return TakeTurnAs(recipient)
        if await self._may_act(event):
            await self._people.keep(message.partition, change)
            event.ack()
        return None

    # What apps write --------------------------------------------------------------------------------------------------

    async def _serve_new(self, event: Any, record: MessageRequest | Cancellation, turn: object) -> TakeTurnAs | None:
        message = event.message
        app = app_of(message.topic)
        assert app is not None, "no other topics are left"
        home = None
        # What is no number is denied wherever it lies: it has no place of its own. Neither has what an unknown app
        # wrote, whose topic is not ours to write to.
        if app in self._config.apps and E164.fullmatch(record.recipient) is not None:
            recipient = record.recipient.encode()
            if partition_of(recipient, self._partitions) != message.partition:
                await self._put_right(event, recipient)
                return None
            if turn != recipient:
                return TakeTurnAs(recipient)
            home = message.partition
        if isinstance(record, Cancellation):
            await self._pass_on(event, record, app)
            return None
        origin = Origin(*origin_of(message))
        entry = Entry(
            message_id=message_id_of(record, app, origin),
            app=app,
            origin=origin,
            written_at=None if record.idempotency_key is not None else written_at(message),
            home=home,
            urgent=is_urgent(message.topic),
            traceparent=traceparent_of(message),
        )
        await self._decisions.serve(event, record, entry, "urgent" if entry.urgent else "normal")
        return None

    async def _put_right(self, event: Any, recipient: bytes) -> None:
        if not await self._may_act(event):
            return
        await republish_to_right_partition(self._publisher, event.message, key=recipient, partitions=self._partitions)
        metrics.republished.inc()
        event.ack()

    async def _pass_on(self, event: Any, cancellation: Cancellation, app: str) -> None:
        message = event.message
        passed = passed_on(cancellation, app, self._config)
        if isinstance(passed, Deny):
            await self._intake.dead(
                message,
                reason=passed.reason,
                detail=passed.detail,
                field=passed.field,
                fix=passed.fix,
                app=app,
                message_id=cancellation.message_id,
            )
        else:
            if not await self._may_act(event):
                return
            await self._memory.keep_cancellation(message.partition, passed)
            if not await self._may_act(event):
                return
            await self._publisher.publish(
                CANCELLATIONS,
                self._codec.encode(passed),
                key=passed.recipient.encode(),
                headers=trace_headers(traceparent_of(message)),
            )
            metrics.cancellations.inc()
        event.ack()

    # What comes back from the wheel -----------------------------------------------------------------------------------

    async def _serve_returned(self, event: Any, deferral: Deferral, turn: object) -> HoldUntil | TakeTurnAs | None:
        message = event.message
        remaining_ms = deferral.due_at - self._now_ms()
        of_a_day = deferral.reason == Reason.DAY_CAP_REACHED
        if not (of_a_day and deferral.at < self._switched().days_reopened_at + REOPENING_HEARD_MS):
            if remaining_ms >= SHORTEST_MS:
                await self._hop(event, tier_for(min(remaining_ms, DAY_LOOK_MS) if of_a_day else remaining_ms))
                return None
            if remaining_ms > 0:
                return HoldUntil(deferral.due_at)
        request = deferral.request
        recipient = request.recipient if request is not None else (message.key or b"").decode("utf-8", "replace")
        home = None
        if E164.fullmatch(recipient) is not None:
            # Without its person's consent, decisions and turn nothing that could be sent is decided.
            key = recipient.encode()
            if partition_of(key, self._partitions) != message.partition:
                await self._put_right(event, key)
                return None
            if turn != key:
                return TakeTurnAs(key)
            home = message.partition
        entry = Entry(
            message_id=deferral.message_id,
            app=deferral.app,
            origin=_origin_of(deferral, message),
            written_at=time_in(message) if deferral.round == 0 else None,
            home=home,
            urgent=deferral.round == 0 and is_urgent_on_wheel(message),
            round=deferral.round,
            deadline=deferral.deadline,
            waited_for=deferral.reason,
            traceparent=traceparent_of(message),
        )
        if home is not None and (request is None or deferral.by is not Stage.POLICY):
            # The decision for this round may have taken the place of the one that kept the request.
            if request is None and await self._decisions.serve_decided(event, recipient, entry):
                return None
            # What the app asked says more than what dispatch made of its own record, where it is remembered.
            request = self._decisions.request_of(home, recipient, deferral.message_id) or request
        if request is not None and deferral.reason == Reason.CHANNEL_FAILED:
            request = next_request(request, self._config) or request
        if request is None:
            await self._give_up(event, deferral)
            return None
        if remaining_ms <= 0:
            metrics.lateness.observe(-remaining_ms / 1000)
        await self._decisions.serve(event, request, entry, "deferred")
        return None

    async def _hop(self, event: Any, tier: str) -> None:
        message = event.message
        if not await self._may_act(event):
            return
        await self._publisher.publish(deferral_topic(tier), message.value, key=message.key, headers=headers_of(message))
        metrics.hops(tier).inc()
        event.ack()

    async def _give_up(self, event: Any, deferral: Deferral) -> None:
        message = event.message
        if not await self._may_act(event):
            return
        told = tell_lost_request(deferral, _place_of(message), self._config, self._now_ms())
        await self._publisher.publish(
            LIFECYCLE,
            self._codec.encode(told),
            key=told.message_id.encode(),
            headers=trace_headers(traceparent_of(message)),
        )
        await self._intake.dead(
            message,
            reason=Reason.INVALID_FIELD,
            detail="the deferral holds no request",
            field="request",
            app=deferral.app,
            message_id=deferral.message_id,
        )
        event.ack()


def _place_of(message: Any) -> Origin:
    return Origin(message.topic, message.partition, message.offset)


def _origin_of(deferral: Deferral, message: Any) -> Origin:
    try:
        return Origin.parse(deferral.origin or "")
    except ValueError:
        return _place_of(message)
