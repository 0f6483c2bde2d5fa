"""Records as they arrive from the class topics: reads them, and tells of each whether it may be sent from here or goes
back to policy, and why."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connectors.kafka.intake import Intake
from connectors.kafka.topic_partition import TP
from schemas.codec import Codec
from schemas.errors import DecodeError, SchemaNotLoaded
from schemas.reasons import Reason
from schemas.records import Dispatch

from .day_caps import DayCaps
from .engine import Engine
from .lanes import LaneTable
from .moving import Moving
from .overflow import Overflow


class Arrivals:
    """All methods belong to one event loop, and none but `agent` waits.

    Args:
        intake: takes what cannot be read at once: a dead letter, or a record whose schema must be asked for.
        now_ms: epoch milliseconds.
    """

    def __init__(
        self,
        table: LaneTable,
        engine: Engine,
        *,
        codec: Codec,
        intake: Intake,
        moving: Moving,
        day_caps: DayCaps,
        overflow: Overflow,
        now_ms: Callable[[], int],
    ) -> None:
        self._lanes = table.lanes
        self._engine = engine
        self._tenure = engine.tenure
        self._codec = codec
        self._intake = intake
        self._moving = moving
        self._day_caps = day_caps
        self._overflow = overflow
        self._now_ms = now_ms

    async def agent(self, stream: Any) -> None:
        """Take the records of one topic."""
        async for batch in stream.noack():
            for event in batch:
                self.offer(event)

    def offer(self, event: Any) -> None:
        """Take a record. It is finished when the message's end here is written down."""
        if event.message.generation_id != self._tenure.generation:
            return  # of an assignment that is over: it comes again, here or elsewhere
        try:
            record = self._codec.decode(event.message.value or b"")
        except (DecodeError, SchemaNotLoaded):
            record = None
        if isinstance(record, Dispatch):
            self._take(record, event)
        else:
            self._engine.under_way.spawn(self._read_slowly(event))

    async def _read_slowly(self, event: Any) -> None:
        record = await self._intake.read(event.message, (Dispatch,))
        if record is None:
            event.ack()
        elif event.message.generation_id == self._tenure.generation:
            assert isinstance(record, Dispatch)
            self._take(record, event)

    def _take(self, order: Dispatch, event: Any) -> None:
        lane = self._lanes.get(order.lane)
        if lane is None:
            self._engine.take(order, event, Reason.UNKNOWN_LANE)
            return
        place = self._moving.place(lane.group)
        order.account, order.group = lane.account, lane.group
        tp: TP = event.message.tp
        astray: Reason | None = None
        closed = tp.partition == place.opening
        if tp.partition != place.home and not closed:
            astray = Reason.LANE_MOVED  # only the process that serves the group's partition may pace its lanes
        elif self._day_caps.waits_until(order, order.segments, self._now_ms()) is not None:
            astray = Reason.DAY_CAP_REACHED
        elif self._overflow.is_full(order, tp):
            astray = Reason.LANE_FULL
        self._engine.take(order, event, astray, closed=closed)
