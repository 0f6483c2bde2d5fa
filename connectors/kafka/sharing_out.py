"""Whether the share of partitions that this member was given was made for what it reads, and asking for another.

Who comes back under static membership within the session gets what it had, and Kafka lets nobody share out anew: that
it reads a topic more by now, or that there are more partitions, goes unnoticed, and what is new is in nobody's hands.
So every member compares what its share was made for (assignor.py) with what it subscribes and with the partitions that
there are:

- as soon as it is given a share (`refuses`): one that does not fit is not taken, and it joins again, by its own member
  id and with a join that differs, which brokers answer with a rebalance;
- from time to time (`look`): partitions may have been added to a group in which nobody leads any more.

What follows is a rebalance like any other. How often it is asked for is bounded (`Patience`): whoever leads may know
less about the cluster than this member, and goes on not to give what it does not know of.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.coordinator.protocol import ConsumerProtocol

from connectors.health import Health

from . import metrics
from .assignor import Assignor

log = structlog.get_logger(__name__)

LONGEST_PAUSE_S = 600.0
"""Pauses between two requests double up to this: a rebalance stops everything for about a second."""

METADATA_WAIT_S = 3.0
"""How long a share waits for metadata that is on its way. Who starts has just asked for that of its topics; a broker
that does not answer may not hold up the group."""

SPREAD = (1.05, 1.5)
"""Every member sees the same, and the first to ask does it for all: by how much of a pause they are apart."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """How the share of this member does not fit.

    Attributes:
        unshared: partitions of each topic that it reads and that were dealt out to nobody; 0 where their number is not
            known yet.
        unread: topics that its share was made for and that it does not read.
    """

    unshared: Mapping[str, int] = field(default_factory=dict)
    unread: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.unshared or self.unread)

    def __str__(self) -> str:
        new = "; in nobody's hands: " + ", ".join(f"{topic} ({n})" for topic, n in self.unshared.items())
        old = "; not read any more: " + ", ".join(sorted(self.unread))
        return ((new if self.unshared else "") + (old if self.unread else "")).removeprefix("; ")


def misfit(made_for: Mapping[str, int] | None, subscribed: Iterable[str], partitions: Callable[[str], int]) -> Misfit:
    """Compare.

    Args:
        made_for: as `Assignor.made_for`. Nothing is held against a share without a note.
        subscribed: topics of this member.
        partitions: how many a topic has, as far as this member knows; 0 for one it does not know.
    """
    if made_for is None:
        return Misfit()
    read = set(subscribed)
    missing = {topic: max(0, partitions(topic) - made_for.get(topic, 0)) for topic in sorted(read)}
    unshared = {topic: count for topic, count in missing.items() if count or topic not in made_for}
    return Misfit(unshared, frozenset(made_for.keys() - read))


class Patience:
    """When a new sharing out may be asked for: at once after a join, then after pauses that double.

    The first pause outlasts the age that metadata may have: by then every other member knows what this one knows, and
    one that leads has asked by itself.
    """

    def __init__(
        self,
        metadata_max_age_s: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        spread: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._pause_s = metadata_max_age_s
        self._clock = clock
        self._spread = spread
        self._asked = 0
        self._asked_at = 0.0
        self._due_at: float | None = None

    def fits(self) -> None:
        """There is nothing to ask for. What was asked lately still counts."""
        if self._asked and self._clock() - self._asked_at > LONGEST_PAUSE_S:
            self._asked = 0
        self._due_at = None

    def due(self, *, joining: bool) -> bool:
        """Whether to ask now; called while there is a misfit, which is then as old as the first call."""
        if joining and not self._asked:
            return True
        if self._due_at is None:
            self._due_at = self._next_at()
        return self._clock() >= self._due_at

    def asked(self) -> None:
        """It was asked for."""
        self._asked += 1
        self._asked_at = self._clock()
        self._due_at = self._next_at()

    def _next_at(self) -> float:
        pause_s = min(self._pause_s * 2.0 ** max(0, self._asked - 1), LONGEST_PAUSE_S)
        return self._clock() + pause_s * self._spread(*SPREAD)


class SharingOut:
    """See the module. Lives on the consumer's thread; `health` may be asked from anywhere."""

    def __init__(self, assignor: Assignor, consumer: AIOKafkaConsumer, patience: Patience) -> None:
        """Nothing happens before the first share.

        Args:
            assignor: the consumer's.
            consumer: aiokafka's, connected.
            patience: how often to ask.
        """
        self._assignor = assignor
        self._client = consumer._client
        self._coordinator = consumer._coordinator
        self._subscription = consumer._subscription
        self._patience = patience
        self._misfit = Misfit()
        self._told = False

    async def refuses(self, share: bytes) -> bool:
        """Whether this share, as it came from the group's coordinator, is not to be taken: then the next join asks for
        another one."""
        if not share:
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(METADATA_WAIT_S):
                await self._client._maybe_wait_metadata()
        self._assignor.on_assignment(ConsumerProtocol.ASSIGNMENT.decode(share))  # the next join tells what it had
        return self._asks(joining=True)

    def look(self) -> None:
        """Compare again, and join again if it is time for it."""
        between = self._subscription.reassignment_in_progress or self._coordinator._rejoin_needed_fut.done()
        if not between and self._asks(joining=False):
            self._coordinator.request_rejoin()

    def health(self) -> Health:
        """Whether what this member reads is in somebody's hands."""
        return Health(not self._misfit, str(self._misfit))

    def _asks(self, *, joining: bool) -> bool:
        self._compare()
        if not self._misfit:
            self._patience.fits()
            if self._told:
                log.info("partitions are shared out anew")
            self._told = False
            return False
        if not self._patience.due(joining=joining):
            return False
        self._patience.asked()
        self._assignor.ask_anew()
        metrics.SHARED_OUT_ANEW.inc()
        if not self._told:
            log.warning("the group is asked to share its partitions out anew", why=str(self._misfit))
        self._told = True
        return True

    def _compare(self) -> None:
        found = misfit(self._assignor.made_for, self._subscription.topics, self._partitions)
        for topic in self._misfit.unshared.keys() | found.unshared.keys():
            metrics.UNSHARED.labels(topic).set(found.unshared.get(topic, 0))
        self._misfit = found

    def _partitions(self, topic: str) -> int:
        return len(self._client.cluster.partitions_for_topic(topic) or ())
