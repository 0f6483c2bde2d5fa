"""Takes records in: new ones to the scheduler, repeats to the message they repeat, and those that an earlier owner had
begun to where their history says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.kafka.topic_partition import TP
from schemas.reasons import Reason
from schemas.records import Dispatch

from . import metrics
from .attempt_log import AttemptLog, note_all
from .attempts import Doubtful, Ended, Histories, History, Retry
from .doubts import DoubtDesk
from .jobs import Job
from .matching import CLOCKS_APART_MS
from .positions import IntentPositions
from .settling import Settler
from .shared_reading import Find, about
from .tenure import Tenure, UnderWay

LATE_MS = 5_000
"""A record that was appended so long after its decision may be a copy: policy's process slept, or could not reach
Kafka, and its successor may have published the decision meanwhile (flagged `again`, which the late one is not). Below
what a session outlasts a lease (10 s), for no successor comes sooner; above what hosts' clocks differ by, for each late
record has the log read."""


class Reception:
    """All methods belong to one event loop.

    Attributes:
        histories: what the attempts log said of messages when the partitions were assigned, until their records come.
    """

    def __init__(
        self,
        *,
        tenure: Tenure,
        under_way: UnderWay,
        settler: Settler,
        doubts: DoubtDesk,
        log: AttemptLog,
        positions: IntentPositions,
        find: Find,
        clock: Callable[[], float],
    ) -> None:
        self._tenure = tenure
        self._under_way = under_way
        self._settler = settler
        self._doubts = doubts
        self._log = log
        self._positions = positions
        self._find = find
        self._clock = clock
        self.histories = Histories()

    def take(self, order: Dispatch, record: Any, astray: Reason | None = None, *, closed: bool = False) -> None:
        """Take a record in; it is finished when its message has left dispatch.

        Args:
            record: the consumed record (`message` with its place, `ack()`).
            astray, closed: see `Job`.
        """
        job = Job(order, arrived=self._clock(), generation=self._tenure.generation, record=record)
        known = self._tenure.held.get(job.key)
        if known is not None:
            self._log.joined(known, TP(*record.message.tp), record.message.offset)
            known.records.append(record)
            metrics.joined.inc()
            return
        job.astray, job.closed = astray, closed
        self._tenure.admit(job)
        history = self.histories.take(job.key)
        if history is not None:
            self._resume(job, history)
        elif order.again or _is_late(order, record):
            metrics.looked_up.labels("again" if order.again else "late").inc()
            self._under_way.spawn(self._look_up(job))
        elif astray is not None:
            self._under_way.spawn(self._settler.queue(job))
        else:
            self._settler.push(job)

    def _resume(self, job: Job, history: History) -> None:
        note_all(self._positions, job.records, history.first_position)
        job.lost = history.lost
        state = history.state()
        if isinstance(state, Ended):
            self._under_way.spawn(self._settler.follow(job, state.result))
        elif isinstance(state, Retry):
            self._under_way.spawn(self._settler.go_on(job, state))
        else:
            assert isinstance(state, Doubtful)
            job.attempt = history.last_attempt
            intents = {intent.attempt: intent.at for intent in state.intents}
            self._doubts.add(job, intents, state.intents[-1].account)

    async def _look_up(self, job: Job) -> None:
        """An earlier copy of this record may be in the log, sent or not, from before what was read at assignment."""
        if self._tenure.closing:
            return  # whoever has the partition next looks it up
        order = job.order
        since_ms = order.decided_at - CLOCKS_APART_MS
        wanted = about([order.recipient], [order.message_id])
        records = await self._find(job.records[0].message.partition, since_ms, wanted)
        if not self._tenure.holds(job):
            return
        histories = Histories()
        for record, position in records:
            histories.add(record, job.records[0].message.partition, position)
        history = histories.get(job.key)
        if history is not None:
            self._resume(job, history)
        else:
            await self._settler.queue(job)


def _is_late(order: Dispatch, record: Any) -> bool:
    return bool(record.message.timestamp * 1000 - order.decided_at > LATE_MS)
