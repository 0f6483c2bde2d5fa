"""Decides once per message and round: asks the rules, remembers the answer, and only then publishes what follows.

    decision in the state, acked → lease → dispatch (or wheel) record acked → lifecycle acked → input finished

A crash after the first step finds the decision when the input comes again, and publishes the same once more, flagged
`again` for dispatch. So no message is decided twice for a round, nor admitted on two lanes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

import structlog

from connectors.values import value
from schemas import ids
from schemas.reasons import Reason
from schemas.records import Channel, Dispatch, LifecycleEvent, MessageRequest, PolicyDecision, PolicyOutcome
from schemas.topics import LIFECYCLE

from . import metrics
from .case import Entry, Origin
from .decide import decide
from .defect import denial, frames
from .enrichment import EnrichmentUnavailable
from .facts import NOTHING_KNOWN, Facts, Past
from .fallback import as_wished
from .idempotency import digest
from .memory import EntryUnreadable, Memory
from .openings import Openings
from .profile import Profile
from .profile_sources import merged, profile_of_record
from .quotas import NOW, Quotas, Turn
from .rounds import Meeting, meet
from .story import tell_repeat
from .surroundings import Surroundings
from .switchboard import Switched
from .trace import trace_headers
from .verdict import Admitted, Decision, Denied
from .writing import Outcome, Published, Writing

log = structlog.get_logger(__name__)

LookUp = Callable[[MessageRequest, Entry], Awaitable[Profile | None]]
"""Asks customer data about the person of a request."""


@value
class Question:
    """What is decided on: a request, as the app asked and as it stands after the person's wishes, with what is known.

    `kind` is for the metrics; `earlier` the decision of a former round.
    """

    event: Any
    request: MessageRequest
    asked: MessageRequest
    entry: Entry
    facts: Facts
    kind: str
    earlier: PolicyDecision | None


class Decisions:
    """See the module.

    Args:
        memory: what is remembered of people.
        look_up: customer data; nothing is known of anybody where it is None.
        switched: what operators and trouble have switched off at this moment.
        quotas: what apps have used up; nobody is limited where it is None.
        openings: whom WhatsApp senders wrote to first; nobody is counted where it is None.
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
        self._writing = Writing(world.config, world.codec)
        self._publisher = world.publisher
        self._now_ms = world.now_ms
        self._may_act = world.may_act
        self._holds = world.holds
        self._look_up = look_up
        self._switched = switched
        self._quotas = quotas
        self._openings = openings

    async def serve(self, event: Any, request: MessageRequest, entry: Entry, kind: str) -> None:
        """Decide on a request, unless that was done; publish what follows; finish the input.

        Args:
            kind: urgent, normal or deferred, for the metrics.
        """
        if not self._holds(event) and not await self._may_act(event):
            return
        home = entry.home
        if home is None:  # no number: it has no place of its own, and is denied the same whenever it comes
            await self._decide(Question(event, request, request, entry, NOTHING_KNOWN, kind, None))
            return
        try:
            earlier = self._memory.decision(home, request.recipient, entry.message_id)
            if meet(earlier, entry) is Meeting.ANOTHER:
                entry = _under_an_id_of_its_own(entry)
                earlier = self._memory.decision(home, request.recipient, entry.message_id)
            meeting = meet(earlier, entry)
        except EntryUnreadable as error:
            await self._end_by_defect(Question(event, request, request, entry, NOTHING_KNOWN, kind, None), error)
            return
        if meeting is Meeting.NEW:
            facts = await self._facts(request, entry, earlier)
            asked = request
            if entry.round == 0 and facts.profile is not None:
                request = as_wished(asked, facts.profile.preferred_channel, self._config)
                if request is not asked:
                    facts = replace(facts, past=self._past(request, entry), opened=self._opened(request, entry))
            await self._decide(Question(event, request, asked, entry, facts, kind, earlier))
            return
        assert earlier is not None
        if meeting is Meeting.AGAIN:
            await self._publish_again(event, earlier, entry, request.recipient)
        elif meeting is Meeting.REPEAT and earlier.digest not in (None, digest(request)):
            await self._serve_conflict(event, request, entry, kind, earlier)
        elif meeting is Meeting.REPEAT:
            await self._tell_again(event, earlier, entry)
        else:
            event.ack()

    async def serve_decided(self, event: Any, recipient: str, entry: Entry) -> bool:
        """Serve a record without request whose round was decided: nothing but the decision is needed for that. False
        where it was not."""
        assert entry.home is not None
        earlier = self._known(entry.home, recipient, entry.message_id)
        meeting = meet(earlier, entry)
        if earlier is None or meeting is Meeting.NEW:
            return False
        if await self._may_act(event):
            if meeting is Meeting.AGAIN:
                await self._publish_again(event, earlier, entry, recipient)
            else:
                event.ack()
        return True

    def request_of(self, home: int, recipient: str, message_id: str) -> MessageRequest | None:
        """The request of a message that came back without one, where it is remembered."""
        earlier = self._known(home, recipient, message_id)
        return None if earlier is None else self._writing.request_of(earlier)

    async def _serve_conflict(
        self, event: Any, request: MessageRequest, entry: Entry, kind: str, first: PolicyDecision
    ) -> None:
        """What it asks for is no message of its own and gets no id of one: it is told under its own place."""
        conflict = replace(entry, message_id=ids.message_id_by_origin(*entry.origin))
        assert entry.home is not None
        decided = self._known(entry.home, request.recipient, conflict.message_id)
        if decided is not None:  # before a crash or rebalance
            await self._publish_again(event, decided, conflict, request.recipient)
            return
        facts = replace(await self._facts(request, conflict), earlier_digest=first.digest)
        await self._decide(Question(event, request, request, conflict, facts, kind, None))

    async def _tell_again(self, event: Any, earlier: PolicyDecision, entry: Entry) -> None:
        """An app that asks again has missed the answer: it is told once more where its message stands."""
        metrics.repeats.inc()
        told = None if earlier.told is None else await self._intake.decode(earlier.told)
        if not await self._may_act(event):
            return
        if isinstance(told, LifecycleEvent):
            repeated = tell_repeat(told, entry, _place_of(event), self._now_ms())
            await self._publish(event, entry, None, self._codec.encode(repeated))
        else:
            event.ack()

    def _known(self, home: int, recipient: str, message_id: str) -> PolicyDecision | None:
        """The last decision about a message of which nothing else is known. One that cannot be read helps nobody."""
        try:
            return self._memory.decision(home, recipient, message_id)
        except EntryUnreadable:
            return None

    # Inside -----------------------------------------------------------------------------------------------------------

    async def _facts(self, request: MessageRequest, entry: Entry, earlier: PolicyDecision | None = None) -> Facts:
        assert entry.home is not None
        profile, ask_again_at = None, None
        switched = self._switched()
        if self._look_up is not None and entry.app not in switched.paused_apps:
            try:
                profile = await self._look_up(request, entry)
            except EnrichmentUnavailable as unavailable:
                ask_again_at = unavailable.retry_at
            switched = self._switched()
        # Read after the wait for the profile: nothing can change for this person until the decision is written.
        known = self._memory.recall(entry.home, request.recipient, entry.message_id, entry.app)
        # A later round was let in before, and is not asked to pay again.
        turn = self._quotas.ask(entry.app) if self._quotas is not None and entry.round == 0 else NOW
        return Facts(
            profile=merged(profile_of_record(known.profile), profile) if known.profile is not None else profile,
            ask_again_at=ask_again_at,
            quota_wait_until=turn.wait_until,
            quota_day_over=turn.day_over,
            lane_turns=self._lane_turns(entry, earlier),
            paused_apps=switched.paused_apps,
            unhealthy=switched.unhealthy,
            refused=switched.refused,
            failing=switched.failing,
            backlogs=switched.backlogs,
            ledger=known.ledger,
            past=self._past(request, entry),
            opened=self._opened(request, entry),
            last_inbound=known.last_inbound,
            cancelled=known.cancelled,
        )

    def _past(self, request: MessageRequest, entry: Entry) -> tuple[Past, ...]:
        """Reading what somebody was sent costs something for each message: only where a cap covers it."""
        caps = self._config.caps
        if not caps or not any(cap.covers(request.category, request.channel) for cap in caps):
            return ()
        assert entry.home is not None
        return self._memory.past(entry.home, request.recipient, without=entry.message_id)

    def _lane_turns(self, entry: Entry, earlier: PolicyDecision | None) -> Mapping[str, Turn]:
        """Without the lane that the message was admitted to before: it has paid there, and comes from its queue. What
        waited for its turn has paid for whichever lane it takes now."""
        if self._quotas is None or entry.waited_for == Reason.LANE_QUOTA_EXCEEDED:
            return {}
        turns = self._quotas.ask_lanes(entry.app)
        if turns and earlier is not None:
            return {lane: turn for lane, turn in turns.items() if lane != earlier.sender}
        return turns

    def _charge(self, decision: Decision, entry: Entry, facts: Facts) -> None:
        if self._quotas is None or entry.home is None or isinstance(decision, Denied):
            return
        if entry.round == 0:
            self._quotas.charge(entry.app, entry.home)
        if facts.lane_turns:
            lane = decision.dispatch.lane if isinstance(decision, Admitted) else decision.defer.charges
            if lane is not None and lane in facts.lane_turns:
                self._quotas.charge((entry.app, lane), entry.home)

    def _opened(self, request: MessageRequest, entry: Entry) -> Mapping[str, int]:
        if self._openings is None or request.channel is not Channel.WHATSAPP:
            return {}
        assert entry.home is not None
        return self._openings.others(entry.home, request.recipient, self._now_ms())

    async def _decide(self, question: Question) -> None:
        now_ms = self._now_ms()
        try:
            decision = decide(question.request, question.entry, self._config, now_ms, question.facts)
            outcome = self._outcome(decision, question, now_ms)
        except Exception as error:
            await self._end_by_defect(question, error)
            return
        await self._write_down(outcome, question)

    async def _end_by_defect(self, question: Question, error: Exception) -> None:
        """Deny a message on which policy fails, and keep its record as a dead letter."""
        event, entry = question.event, question.entry
        if not await self._may_act(event):
            return
        denied = denial(error)
        log.error(
            "policy cannot decide on a message",
            app=entry.app,
            message_id=entry.message_id,
            error=type(error).__name__,
            frames=frames(error),
        )
        await self._intake.dead(
            event.message,
            reason=denied.deny.reason,
            detail=denied.deny.detail,
            fix=denied.deny.fix,
            app=entry.app,
            message_id=entry.message_id,
        )
        await self._write_down(self._outcome(denied, question, self._now_ms()), question)

    def _outcome(self, decision: Decision, question: Question, now_ms: int) -> Outcome:
        place = _place_of(question.event)
        return self._writing.outcome(decision, question.request, question.entry, place, now_ms)

    async def _write_down(self, made: Outcome, question: Question) -> None:
        event, request, entry = question.event, question.request, question.entry
        decision = made.decision
        self._charge(decision, entry, question.facts)
        opens = decision.dispatch.lane if isinstance(decision, Admitted) and decision.opens else None
        if self._openings is not None and opens is not None and entry.home is not None:
            self._openings.note(entry.home, opens, request.recipient, made.at)
        metrics.decision_seconds(question.kind).observe(max(0.0, made.at / 1000 - event.message.timestamp))
        if entry.home is not None:
            kept = self._writing.kept(made, request, entry, question.earlier, question.asked)
            await self._memory.keep_decision(entry.home, request.recipient, kept, opens=opens)
            if not self._holds(event) and not await self._may_act(event):
                return
        await self._publish(event, entry, made.published, made.told)
        self._count(decision, entry.app)

    async def _publish_again(self, event: Any, earlier: PolicyDecision, entry: Entry, recipient: str) -> None:
        metrics.again.inc()
        published = None
        if earlier.topic is not None and earlier.published is not None:
            value = earlier.published
            if earlier.outcome is PolicyOutcome.ADMITTED:
                order = await self._intake.decode(value)
                assert isinstance(order, Dispatch)
                value = self._codec.encode(replace(order, again=True))
                published = Published(earlier.topic, earlier.partition, order.message_id.encode(), value)
            else:
                headers = self._writing.wheel_headers(earlier.app, earlier.category)
                published = Published(earlier.topic, None, recipient.encode(), value, headers)
        if not await self._may_act(event):
            return
        assert earlier.told is not None
        await self._publish(event, entry, published, earlier.told)

    async def _publish(self, event: Any, entry: Entry, published: Published | None, told: bytes) -> None:
        headers = trace_headers(entry.traceparent)
        if published is not None:
            await self._publisher.publish(
                published.topic,
                published.value,
                key=published.key,
                partition=published.partition,
                headers=[*headers, *published.headers],
            )
            if not self._holds(event) and not await self._may_act(event):
                return
        await self._publisher.publish(LIFECYCLE, told, key=entry.message_id.encode(), headers=headers)
        event.ack()

    def _count(self, decision: Decision, app: str) -> None:
        app = app if app in self._config.apps else "unknown"
        if isinstance(decision, Admitted):
            metrics.decided(app, "admitted", "").inc()
        elif isinstance(decision, Denied):
            metrics.decided(app, "denied", decision.deny.reason).inc()
        else:
            metrics.decided(app, "deferred", decision.defer.reason).inc()


def _under_an_id_of_its_own(entry: Entry) -> Entry:
    assert entry.written_at is not None, "without it no two requests at one place are told apart"
    log.warning("a topic was made anew: its places were another's", place=str(entry.origin))
    return replace(entry, message_id=ids.message_id_by_reused_origin(*entry.origin, entry.written_at))


def _place_of(event: Any) -> Origin:
    return Origin(event.message.topic, event.message.partition, event.message.offset)
