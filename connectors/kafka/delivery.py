"""Brings records from the client to the agents' queues, as far as the windows have room.

Taking a record moves the client's position past it, so between taking and the ledger nothing may be dropped, except
when the flow stops: then the positions are sought anew before it resumes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from aiokafka.errors import OffsetOutOfRangeError

from . import metrics
from .ledger import Ledger
from .log_positions import LogPositions
from .topic_partition import TP
from .window import Windows

POLL_S = 0.1
"""Longest wait of one fetch. A partition that gets room meanwhile is looked at when it ends, so not longer."""

GATHER_S = 0.002
"""Pause after the first record finished where everything was blocked, so that more room comes together."""

YIELD_EVERY = 64
"""Records delivered before the agents get a turn: a few milliseconds of work."""

_SOME, _NONE = metrics.FETCHES.labels("records"), metrics.FETCHES.labels("nothing")


class Rewound(Exception):
    """A log ends below the position that was read up to: its topic was deleted and made again under a running worker.
    The process ends; the next start decides by the committed offset."""


class Client(Protocol):
    """What is asked of the consumer's thread."""

    async def take(
        self, rooms: Mapping[TP, int], most: int, timeout_s: float, wanted: Callable[[], bool]
    ) -> dict[TP, list[Any]]:
        """Records that arrived."""

    async def seek_all(self, positions: Mapping[TP, int]) -> bool:
        """Read on from there."""


class Delivery:
    """One consumer's records on their way. `hand_over(tp, records)` puts records into the agents' queues and must not
    wait: how much lies in a queue is bounded by the windows.

    Attributes:
        asks: there was room at the last step, so records should be coming.
    """

    def __init__(
        self,
        client: Client,
        ledger: Ledger,
        windows: Windows,
        positions: LogPositions,
        hand_over: Callable[[TP, list[Any]], None],
        *,
        most: int,
    ) -> None:
        """`most` is the number of records taken in one step, of all partitions together."""
        self._client = client
        self._ledger = ledger
        self._windows = windows
        self._positions = positions
        self._hand_over = hand_over
        self._most = most
        self._room_freed = asyncio.Event()
        self.asks = False

    def room_freed(self) -> None:
        """A record was finished; where everything is blocked, the next step need not wait any longer."""
        self._room_freed.set()

    async def step(self, flows: Callable[[], bool]) -> None:
        """Take what there is room for and deliver it. Ends early, dropping what was taken, once `flows()` is false: the
        flow was stopped or another generation began.

        Raises:
            Rewound: see there.
            ValueError: an offset did not grow (see ledger.py).
            aiokafka.errors.KafkaError: the broker refuses for good.
        """
        self._room_freed.clear()
        rooms = self._windows.rooms(self._ledger.partitions)
        self.asks = bool(rooms)
        if not rooms:
            await self._wait_for_room()
            return
        try:
            batch = await self._client.take(rooms, self._most, POLL_S, flows)
        except OffsetOutOfRangeError as error:
            await self._skip_what_is_gone(error.args[0], flows)
            return
        (_SOME if batch else _NONE).inc()
        await self._deliver(batch, flows)

    async def _wait_for_room(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._room_freed.wait()
                await asyncio.sleep(GATHER_S)
        except TimeoutError:
            pass

    async def _skip_what_is_gone(self, gone: Mapping[TP, int], flows: Callable[[], bool]) -> None:
        """The log's start moved past a position, as when its partition was blocked for longer than its retention."""
        for tp, position in gone.items():
            tp = TP(*tp)
            start = await self._positions.after(tp, position)
            if start < position:
                raise Rewound(f"{tp.topic}[{tp.partition}] ends below {position}, which was read")
            if flows():
                await self._client.seek_all({tp: start})

    async def _deliver(self, batch: Mapping[TP, list[Any]], flows: Callable[[], bool]) -> None:
        room = YIELD_EVERY
        for tp, records in batch.items():
            metrics.DELIVERED.labels(tp.topic).inc(len(records))
            start = 0
            while start < len(records):
                if not flows():
                    return
                some = records[start : start + room]
                start += len(some)
                room -= len(some)
                unfinished = [record for record in some if self._ledger.deliver(tp, record.offset)]
                if unfinished:
                    self._hand_over(tp, unfinished)
                if not room:
                    room = YIELD_EVERY
                    await asyncio.sleep(0)
