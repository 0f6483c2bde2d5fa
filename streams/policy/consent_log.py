"""Whether what policy remembers of consent was folded from the comms.consent that is there now.

A ledger goes by positions in its person's partition. Where the topic was made anew, or lost its end, positions begin
again: by the old ones every new STOP would look like one folded long ago. And where the state was lost while the
group's offsets were kept, nothing would ever read the STOPs again. So the state of each partition says of which topic
all changes were folded in. Where it says another or nothing, the partition's consent is read from its start before
anything is decided, and what is known from another log counts as older than all that stands in this one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Protocol

import structlog

from connectors.kafka.hooks import Loss
from connectors.kafka.topic_partition import TP
from schemas.topics import CONSENT

from .memory import Memory

log = structlog.get_logger(__name__)

PAGE = 500
"""People read, and written at the same time, at once."""


class State(Protocol):
    """What is asked of `connectors.kafka.state.PartitionStates` beside what `memory.State` tells."""

    def get(self, partition: int, key: bytes) -> bytes | None:
        """What was acknowledged."""

    def page(self, partition: int, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Entries from a key on."""

    async def put(self, partition: int, entries: Mapping[bytes, bytes | None]) -> None:
        """Write; returns when that is acknowledged and in the store."""


class ConsentLog:
    """See the module.

    Args:
        topic_id: tells the id of comms.consent, empty where the broker gives topics none; waits while Kafka is away.
    """

    def __init__(self, state: State, memory: Memory, topic_id: Callable[[], Awaitable[str]]) -> None:
        self._state = state
        self._memory = memory
        self._topic_id = topic_id
        self._now = ""
        self._unread: set[int] = set()

    async def opened(self, homes: Iterable[int]) -> None:
        """The state of these partitions is open, and no record was delivered yet."""
        self._now = await self._topic_id()
        for home in homes:
            known = self._state.get(home, Memory.CONSENT_LOG)
            if known is not None and (not self._now or known == self._now.encode()):
                continue
            self._unread.add(home)
            if known is None:
                log.info("consent is read from its start", partition=home)
                continue
            log.warning("comms.consent was made anew, and is read from its start", partition=home)
            await self._begin_anew(home)

    def from_start(self, tp: TP) -> bool:
        """Whether a partition is read from its start, whatever the group committed."""
        return tp.topic == CONSENT and tp.partition in self._unread

    async def lost(self, loss: Loss) -> None:
        """Records are gone from a log; where its end is, positions in it begin again."""
        if loss.tp.topic == CONSENT and loss.reason == "truncated":
            await self._begin_anew(loss.tp.partition)

    async def read(self, home: int) -> None:
        """All changes that a partition held when it was assigned are folded in."""
        if home in self._unread:
            await self._state.put(home, {Memory.CONSENT_LOG: self._now.encode()})
            self._unread.discard(home)

    def drop(self, homes: Iterable[int]) -> None:
        """These partitions were let go."""
        self._unread.difference_update(homes)

    async def _begin_anew(self, home: int) -> None:
        moved, start = 0, b""
        while page := self._state.page(home, start, PAGE):
            people = [person for person in map(Memory.person_of, (key for key, _ in page)) if person is not None]
            moved += sum(await asyncio.gather(*(self._begin_anew_with(home, person) for person in people)))
            start = page[-1][0] + b"\x00"
        log.warning("consent known from another log is kept as older than this one", partition=home, people=moved)

    async def _begin_anew_with(self, home: int, recipient: str) -> bool:
        ledger, last_inbound = self._memory.person(home, recipient)
        moved = ledger.before_another_log()
        if moved == ledger:
            return False
        await self._memory.keep_person(home, recipient, moved, last_inbound)
        return True
