"""The fold of everything said about a message into its state: a join of facts, whatever their order and repetition.

Every part of it is a maximum or minimum over a total order: commutative, associative, idempotent. A fact that is lost
takes away only what it alone said.
"""

from __future__ import annotations

from typing import Any

from schemas.records import MessageStatus, StatusUpdate
from streams.rounds import FALLBACK_CHANNELS

from .back_into_loop import Failure
from .facts import TWILIO, Fact
from .ranks import FINAL, RANK
from .sender_health import Outcome

UNKNOWN_APP = ""
"""`StatusUpdate.app` of a message that only Twilio has told of."""

FAILED = frozenset({MessageStatus.FAILED, MessageStatus.UNDELIVERED})

_WENT = (MessageStatus.SENT, MessageStatus.DELIVERED, MessageStatus.READ, *FAILED)

_TIMINGS = (
    ("admitted_at", MessageStatus.ADMITTED),
    ("accepted_at", MessageStatus.ACCEPTED),
    ("sent_at", MessageStatus.SENT),
    ("delivered_at", MessageStatus.DELIVERED),
    ("read_at", MessageStatus.READ),
)


class _Fields:
    """Fields that several may state: the value of the latest round, then of the most trusted, then the greatest."""

    __slots__ = ("_stated",)

    def __init__(self) -> None:
        self._stated: dict[str, tuple[int, int, Any, Any]] = {}

    def state(self, name: str, round: int, trust: int, value: Any) -> bool:
        """True if that changed anything."""
        order = tuple(sorted(value.items())) if isinstance(value, dict) else value
        stated = self._stated.get(name)
        if stated is not None and (round, trust, order) <= stated[:3]:
            return False
        self._stated[name] = (round, trust, order, value)
        return True

    def values(self) -> dict[str, Any]:
        return {name: stated[3] for name, stated in self._stated.items()}

    def get(self, name: str) -> Any:
        stated = self._stated.get(name)
        return stated[3] if stated is not None else None


class _Step:
    """All facts that state one status in one round: when it was first reached, and the best account of it."""

    __slots__ = ("_order", "at", "fact")

    def __init__(self, fact: Fact) -> None:
        self.at = fact.at
        self.fact = fact
        self._order = _order(fact)

    def join(self, fact: Fact) -> bool:
        """True if that changed anything."""
        order = _order(fact)
        changed = fact.at < self.at or order > self._order
        self.at = min(self.at, fact.at)
        if order > self._order:
            self.fact, self._order = fact, order
        return changed


def _order(fact: Fact) -> tuple[Any, ...]:
    # The account that names an error code, else the earliest; the rest only makes the order total.
    return (
        fact.error_code is not None,
        -fact.at,
        fact.trust,
        fact.error_code or 0,
        fact.reason or "",
        fact.detail or "",
        fact.error_class or "",
        fact.sid or "",
    )


class _Round:
    __slots__ = ("attempts", "decided", "fields", "steps")

    def __init__(self) -> None:
        self.steps: dict[MessageStatus, _Step] = {}
        self.fields = _Fields()
        self.attempts = 0
        self.decided = False

    def join(self, fact: Fact) -> bool:
        """True if that changed anything."""
        step = self.steps.get(fact.status)
        if step is None:
            self.steps[fact.status] = _Step(fact)
            changed = True
        else:
            changed = step.join(fact)
        state = self.fields.state
        for name, value in fact.about_round.items():
            changed |= state(name, 0, fact.trust, value)
        if fact.segments is not None:
            changed |= state("segments", 0, -fact.trust, fact.segments)  # Twilio counts what it bills
        if fact.price is not None:
            changed |= state("price", 0, fact.trust, fact.price)
        if fact.sid is not None:
            changed |= state("sid", fact.attempt or 0, fact.trust, fact.sid)
        if (fact.attempt or 0) > self.attempts:
            self.attempts, changed = fact.attempt or 0, True
        if fact.decision and not self.decided:
            self.decided = changed = True
        return changed


class MessageFold:
    """Everything known about one message."""

    __slots__ = ("_fields", "_rounds", "message_id")

    def __init__(self, message_id: str) -> None:
        self.message_id = message_id
        self._rounds: dict[int, _Round] = {}
        self._fields = _Fields()

    def add(self, fact: Fact) -> bool:
        """Join a fact about this message. False if that changed nothing, now or whatever comes later: the fact need
        not be kept."""
        changed = False
        for name, value in fact.about.items():
            changed |= self._fields.state(name, fact.round, fact.trust, value)
        known = self._rounds.get(fact.round)
        if known is None:
            known = self._rounds[fact.round] = _Round()
        return known.join(fact) or changed

    @property
    def whole(self) -> bool:
        """Whether the fold holds policy's decision of the last round. That is the first thing said of a round, and says
        all that the message is; without it, what was said may have been forgotten here."""
        return bool(self._rounds) and self._rounds[max(self._rounds)].decided

    def failure(self) -> Failure | None:
        """How the message's last round failed at Twilio, by an error code; None where it did not or goes on."""
        if not self._rounds:
            return None
        number = max(self._rounds)
        last = self._rounds[number]
        status = max(last.steps, key=RANK.__getitem__)
        fact = last.steps[status].fact
        if status not in FAILED or MessageStatus.DEFERRED in last.steps:
            return None
        if fact.trust != TWILIO or fact.error_code is None or fact.sid is None:
            return None
        return Failure(
            message_id=self.message_id,
            round=number,
            times=sum(not FAILED.isdisjoint(each.steps) for each in self._rounds.values()),
            latest=fact.attempt is None or fact.attempt >= last.attempts,
            status=status,
            code=fact.error_code,
            at=last.steps[status].at,
            sid=fact.sid,
            app=self._fields.get("app") or UNKNOWN_APP,
            recipient=self._fields.get("recipient"),
            channel=last.fields.get("channel"),
            lane=last.fields.get("lane"),
            account=last.fields.get("account"),
            sender=last.fields.get("sender"),
            deadline=last.fields.get("deadline"),
            fallback=bool(last.fields.get(FALLBACK_CHANNELS)),
        )

    def outcome(self) -> Outcome | None:
        """What Twilio told of the message's last round once that was sent, or had failed; None before."""
        if not self._rounds:
            return None
        number = max(self._rounds)
        last = self._rounds[number]
        lane = last.fields.get("lane")
        told = [step for status in _WENT if (step := last.steps.get(status)) is not None and step.fact.trust == TWILIO]
        if lane is None or not told:
            return None
        end = max(told, key=lambda step: RANK[step.fact.status])
        code = end.fact.error_code if end.fact.status in FAILED else None
        return Outcome(round=number, lane=lane, at=min(step.at for step in told), code=code)

    def update(self) -> StatusUpdate:
        """The state of the message: that of its last round.

        Raises:
            ValueError: nothing was said yet.
        """
        number = max(self._rounds)
        last = self._rounds[number]
        status = max(last.steps, key=RANK.__getitem__)
        step = last.steps[status]
        # A round that went to the wheel is not the last one: the next one's facts are on their way.
        final = status in FINAL and MessageStatus.DEFERRED not in last.steps
        failed = status in FINAL and status not in (MessageStatus.DELIVERED, MessageStatus.READ)
        price, unit = last.fields.get("price") or (None, None)
        values: dict[str, Any] = {"app": UNKNOWN_APP, **self._fields.values()}
        for name, reached in _TIMINGS:
            timed = last.steps.get(reached)
            values[name] = timed.at if timed is not None else None
        return StatusUpdate(
            message_id=self.message_id,
            status=status,
            is_final=final,
            round=number,
            attempts=last.attempts,
            channel=last.fields.get("channel"),
            lane=last.fields.get("lane"),
            account=last.fields.get("account"),
            sender=last.fields.get("sender"),
            reason=step.fact.reason if failed else None,
            detail=step.fact.detail if failed else None,
            sid=step.fact.sid or last.fields.get("sid"),
            error_code=step.fact.error_code if failed else None,
            error_class=step.fact.error_class if failed else None,
            segments=last.fields.get("segments"),
            price=price,
            price_unit=unit or None,
            updated_at=step.at,
            **values,
        )
