"""A message that dispatch holds, from its record's arrival until its record is finished."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

from connectors.kafka.topic_partition import TP
from schemas.reasons import Reason
from schemas.records import Dispatch

from .shares import CLASSES

_RANKS = {message_class: rank for rank, message_class in enumerate(CLASSES)}


class JobState(IntEnum):
    """Where a job is. The scheduler moves it from `WAITING` to `SENDING`."""

    WAITING = 0
    """In its lane's queue."""
    DELAYED = 1
    """Retry: not before a moment."""
    PREPARING = 2
    """Chosen for a slot; its INTENT is being written."""
    PREPARED = 3
    """Its INTENT is acknowledged; may start as soon as pace and slots allow."""
    SENDING = 4
    """Charged; its POST runs."""
    OUT = 5
    """No longer the scheduler's: finished, expired, or dropped with its partition."""


class Job:
    """One (message, round) on its way out.

    Attributes:
        order: the dispatch record.
        key: (message id, round): what repeats of one record have in common.
        segments: what it costs the lane.
        rank: of its class.
        deadline: epoch milliseconds; sending may not start later.
        attempt: number of the current or next POST; 1 for the first.
        posts: POSTs that this process has made of it.
        lost: attempts, of any process, whose answer was lost and that nothing at Twilio shows.
        arrived: monotonic seconds.
        intent_at: epoch milliseconds of the INTENT of the current attempt; 0 while there is none.
        records: the Kafka records this job stands for; more than one when a repeat has joined it.
        astray: why it may not be sent from here, and goes back to policy once its attempts are resolved; None: it may.
        closed: its group moves here, and the old place is not empty yet: it waits.
        charged_at: when its present POST was charged, monotonic seconds: the moment for which it has its place.
        paid: what the buckets of its lane and of its budgets had charged with it: as long as they stand there, nothing
            else has been charged since.
        refusal: why the last look let it not start, if it did not.
        generation: assignment under which it was taken in.
    """

    __slots__ = (
        "arrived",
        "astray",
        "attempt",
        "charged_at",
        "closed",
        "deadline",
        "generation",
        "intent_at",
        "key",
        "lost",
        "order",
        "paid",
        "posts",
        "rank",
        "records",
        "refusal",
        "segments",
        "sequence",
        "state",
    )

    def __init__(self, order: Dispatch, *, arrived: float = 0.0, generation: int = 0, record: Any = None) -> None:
        self.order = order
        self.key = (order.message_id, order.round)
        self.segments = order.segments if order.segments > 0 else 1
        self.rank = _RANKS[order.message_class]
        self.deadline = order.deadline
        self.attempt = 1
        self.posts = 0
        self.lost = 0
        self.arrived = arrived
        self.generation = generation
        self.intent_at = 0
        self.astray: Reason | None = None
        self.closed = False
        self.charged_at = 0.0
        self.paid: tuple[float, ...] = ()
        self.refusal: Any = None
        self.records: list[Any] = [] if record is None else [record]
        self.sequence = 0
        self.state = JobState.OUT

    @property
    def place(self) -> tuple[TP, str]:
        """Where its record lies, and its pacing group."""
        return self.records[0].message.tp, self.order.group

    def __repr__(self) -> str:
        return f"<Job {self.order.message_id} r{self.order.round} a{self.attempt} {self.state.name}>"
