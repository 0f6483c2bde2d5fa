"""From a record's arrival to its end: it waits its time on the wheel, then for its turn, and is served; where too many
of its person's wait, it goes round by the wheel."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from connectors.health import Progress
from connectors.kafka.state import PartitionNotOpen
from schemas.topics import app_of, is_urgent

from . import metrics, wheel
from .crowds import Crowds
from .desk import ABOUT_PEOPLE, Desk, HoldUntil, TakeTurnAs
from .putting_off import PuttingOff
from .turns import Turns
from .wheel import SHORTEST_MS, TIER_OF_TOPIC, Waiting, let_go_at

log = structlog.get_logger(__name__)

WHEEL_TICK_S = 0.05
"""How often the wheel is looked at: short against the second that a message may be late."""

STUCK_AFTER_S = 60.0
"""Not live when records could be decided for so long and none was."""


class Serving:
    """All methods belong to the stage's event loop. Between two assignments it is suspended and starts nothing.

    Args:
        crowds: how many of one person's records may wait here.
        max_under_way: records being decided at once.
        crash: told of an error that nobody here can mend.
    """

    def __init__(
        self,
        desk: Desk,
        *,
        crowds: Crowds,
        putting_off: PuttingOff,
        max_under_way: int,
        now_ms: Callable[[], int],
        crash: Callable[[Exception], Awaitable[None]],
    ) -> None:
        self._desk = desk
        self._crowds = crowds
        self._putting_off = putting_off
        self._now_ms = now_ms
        self._crash = crash
        self._turns: Turns[Any] = Turns(max_under_way)
        self._held: Waiting[Any] = Waiting()
        self._tasks: set[asyncio.Task[None]] = set()
        self._on_their_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._suspended = False
        self.progress = Progress(STUCK_AFTER_S)

    def start(self) -> None:
        """Tell how much there is."""
        metrics.under_way.set_function(lambda: self._turns.under_way)
        metrics.waiting.set_function(lambda: self._turns.waiting)
        metrics.held.set_function(lambda: len(self._held))

    async def stop(self) -> None:
        """Let go of everything unfinished; it is delivered again."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def in_memory(self) -> int:
        """Records that wait or are being served."""
        return len(self._held) + self._turns.waiting + self._turns.under_way + self._on_their_way

    def is_busy(self, key: Any) -> bool:
        """A record of this person is being served."""
        return self._turns.is_busy(key)

    def add(self, event: Any) -> None:
        """Take a record; returns at once."""
        message = event.message
        tier_ms = TIER_OF_TOPIC.get(message.topic)
        if tier_ms is not None:
            self._held.add(let_go_at(int(message.timestamp * 1000), tier_ms, self._now_ms()), event)
        else:
            self.take_turn(event)

    async def turn_wheel(self) -> None:
        """Let go of what has waited its time, for ever."""
        try:
            while True:
                for event in self._held.due(self._now_ms()):
                    self.take_turn(event)
                await asyncio.sleep(WHEEL_TICK_S)
        except Exception as error:
            log.exception("the wheel stands still")
            await self._crash(error)

    def take_turn(self, event: Any) -> None:
        """Let a record wait for its turn, here if there is room for one more of its person's."""
        message = event.message
        # The key is the recipient; a record without one belongs to nobody until it was read.
        key = message.key if message.key is not None else (message.tp, message.offset)
        comes_again_at = None if self._suspended else self._comes_again_at(key, message)
        if comes_again_at is None:
            self._line_up(key, event)
            self._start_ready()
        elif comes_again_at < self._now_ms() + SHORTEST_MS and message.topic in TIER_OF_TOPIC:
            self._held.add(comes_again_at, event)
        else:
            self._on_their_way += 1
            self._spawn(self._put_off(key, event, comes_again_at))

    # Ownership

    async def suspend(self) -> None:
        """Start nothing more, and wait for what is under way."""
        self._suspended = True
        await self._idle.wait()

    def resume(self) -> None:
        """Partitions were assigned: serve what comes."""
        self._suspended = False

    def drop(self) -> None:
        """Forget all that waits: every rebalance takes all partitions, and what is unfinished is delivered again."""
        self._turns.drop(lambda event: True)
        self._held.drop(lambda event: True)
        self._crowds.clear()
        self.tell_progress()

    def tell_progress(self) -> None:
        """How much could be served now."""
        self.progress.runnable(0 if self._suspended else self._turns.under_way + self._turns.waiting)

    # Inside

    def _comes_again_at(self, key: Any, message: Any) -> int | None:
        """When a record takes its turn that may not do so now; None: it may."""
        topic, now_ms = message.topic, self._now_ms()
        if topic in ABOUT_PEOPLE:
            return None
        put_off_until = wheel.comes_again_at(message) if topic in TIER_OF_TOPIC else 0
        if put_off_until > now_ms:
            return put_off_until
        urgent = _is_urgent(message)
        line = (each.message for each in self._turns.line(key))
        waiting = sum(each.topic == topic and _is_urgent(each) == urgent for each in line)
        put_off = put_off_until > 0
        return self._crowds.comes_again_at(key, topic, waiting, now_ms, urgent=urgent, put_off=put_off)

    def _line_up(self, key: Any, event: Any) -> None:
        message = event.message
        # What comes back from the wheel names its app inside only: all of it has one app's turns.
        self._turns.add(key, event, urgent=_is_urgent(message), app=app_of(message.topic))

    def _start_ready(self) -> None:
        while not self._suspended and (started := self._turns.start()) is not None:
            self._spawn(self._serve(*started))
        self.tell_progress()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        self._idle.clear()
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, key: Any, event: Any) -> None:
        try:
            first = await self._desk.serve(event, key)
        except PartitionNotOpen:
            first = None  # it was let go while this was under way: the record is delivered again, here or elsewhere
        except Exception as error:
            log.exception("policy cannot go on", topic=event.message.topic, partition=event.message.partition)
            await self._crash(error)
            return
        self._turns.done(key)
        if isinstance(first, HoldUntil):
            self._held.add(first.moment, event)
        elif isinstance(first, TakeTurnAs):
            self._line_up(first.key, event)
        self._after_one()

    async def _put_off(self, key: Any, event: Any, until: int) -> None:
        try:
            gone = await self._putting_off.put_off(event, until)
        except Exception as error:
            log.exception("policy cannot put off", topic=event.message.topic, partition=event.message.partition)
            await self._crash(error)
            return
        self._on_their_way -= 1
        if not gone:
            self._line_up(key, event)
        self._after_one()

    def _after_one(self) -> None:
        self.progress.finished()
        if not self._turns.under_way and not self._on_their_way:
            self._idle.set()
        self._start_ready()


def _is_urgent(message: Any) -> bool:
    return wheel.is_urgent(message) if message.topic in TIER_OF_TOPIC else is_urgent(message.topic)
