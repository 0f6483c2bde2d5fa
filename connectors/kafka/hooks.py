"""What a stage is told about its partitions, and when.

"Partitions" are those that are served here (window.py): what is assigned without its anchor is never mentioned.
One life of an assignment (a *generation*), in order; every step waits for the one before it:

1. **assigned**: the group is stable and heartbeats go on, but no record has been delivered yet. The stage restores what
   it remembers of these partitions; it may take its time. When all callbacks have returned, records flow. A rebalance
   meanwhile cancels them, and step 5 follows.
2. Records flow. A record is *outstanding* from its delivery until `event.ack()`, in any order. Every commit asks
   `position_meta` for the metadata of the offset that it is about to commit, and tells `committed` what the broker
   confirmed.
3. **revoked**: a rebalance or the end of the process. Nothing is delivered any more. The partitions are still ours: the
   stage stops starting work and waits for what is under way. It is waited for only so long
   (`KafkaSettings.in_flight_wait_s`), then its callback is cancelled. What `position_meta` needs must stay.
4. The finished prefix is committed, the generation ends: `event.ack()` of its records has no effect from here on.
5. **released**: the stage drops what it holds of these partitions. Unfinished records are delivered again, here or
   elsewhere.

An exception from a callback ends the process.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from .topic_partition import TP

AssignedCallback = Callable[[frozenset[TP], int], Awaitable[None] | None]
PartitionsCallback = Callable[[frozenset[TP]], Awaitable[None] | None]
CommittedCallback = Callable[[TP, int], None]
PositionMeta = Callable[[TP, int], str]
FromStart = Callable[[TP], bool]

_Callback = TypeVar("_Callback", bound=Callable[..., object])


@dataclass(frozen=True, slots=True)
class Loss:
    """Records that this group was to process and that are no longer in the log.

    Attributes:
        tp: the partition.
        first: the lowest offset that is gone.
        next: where reading goes on: the start of the log.
        committed: the offset that the group had committed, or the position it had reached.
        reason: `"retention"`: the log's start moved past unprocessed records, `next - first` of them or fewer (holes);
            `"truncated"`: the log ends below what was already processed, so the topic was made anew or brokers lost
            its end. Nothing known is lost then, but all that is in the log now is delivered.
    """

    tp: TP
    first: int
    next: int
    committed: int
    reason: str

    @property
    def count(self) -> int:
        """The most records that can be missing."""
        return max(0, self.next - self.first)


LossCallback = Callable[[Loss], Awaitable[None] | None]


class ConfigurationRefused(Exception):
    """What a hook found cannot be served by this configuration, and would not be after a restart either: the process
    ends with the exit code for that. The text says what to do."""


class PartitionHooks:
    """The callbacks of one app. They may be sync or async and are registered before the app runs; each `on_…` method
    returns its argument, so that it can be used as a decorator."""

    def __init__(self) -> None:
        self._assigned: list[AssignedCallback] = []
        self._revoked: list[PartitionsCallback] = []
        self._released: list[PartitionsCallback] = []
        self._committed: list[CommittedCallback] = []
        self._loss: list[LossCallback] = []
        self.position_meta: PositionMeta | None = None
        """Metadata to commit with this offset of this partition (see `Consumer.read_committed`). Called while records
        flow and once after `revoked`; must not block. Kafka refuses more than 4096 bytes, of which finished.py takes
        1,000: records beyond the offset that are finished are noted as well, and not delivered to the next owner."""
        self.from_start: FromStart | None = None
        """Whether to read this partition from the start of its log, whatever the group committed. Asked after
        `assigned`; must not block. The commits that follow begin there as well."""

        self.agents_take_batches = False
        """Whether the agents take records by the batch (received.py)."""

    def on_assigned(self, callback: AssignedCallback) -> AssignedCallback:
        """Call `callback(partitions, generation)` in step 1."""
        return _add(self._assigned, callback)

    def on_revoked(self, callback: PartitionsCallback) -> PartitionsCallback:
        """Call `callback(partitions)` in step 3."""
        return _add(self._revoked, callback)

    def on_released(self, callback: PartitionsCallback) -> PartitionsCallback:
        """Call `callback(partitions)` in step 5."""
        return _add(self._released, callback)

    def on_committed(self, callback: CommittedCallback) -> CommittedCallback:
        """Call `callback(tp, offset)` (sync) once the broker confirmed that `offset` is committed: what lies below it
        will never be delivered again, and what was kept for that case may be pruned."""
        return _add(self._committed, callback)

    def on_loss(self, callback: LossCallback) -> LossCallback:
        """Call `callback(loss)` before anything behind the hole is delivered. It is logged and counted anyway."""
        return _add(self._loss, callback)

    async def assigned(self, partitions: Iterable[TP], generation: int) -> None:
        """Run step 1, the callbacks one after the other as registered."""
        for callback in self._assigned:
            await _settled(callback(frozenset(partitions), generation))

    async def revoked(self, partitions: Iterable[TP]) -> None:
        """Run step 3, all callbacks at the same time: they share the bounded wait."""
        waits = [callback(frozenset(partitions)) for callback in self._revoked]
        await asyncio.gather(*(_settled(wait) for wait in waits))

    async def released(self, partitions: Iterable[TP]) -> None:
        """Run step 5."""
        for callback in self._released:
            await _settled(callback(frozenset(partitions)))

    def committed(self, tp: TP, offset: int) -> None:
        """The broker confirmed this."""
        for callback in self._committed:
            callback(tp, offset)

    async def lost(self, loss: Loss) -> None:
        """Records are missing from the log."""
        for callback in self._loss:
            await _settled(callback(loss))


def _add(callbacks: list[_Callback], callback: _Callback) -> _Callback:
    callbacks.append(callback)
    return callback


async def _settled(result: Awaitable[None] | None) -> None:
    if inspect.isawaitable(result):
        await result
