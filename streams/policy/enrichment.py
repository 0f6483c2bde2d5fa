"""What customer data says of the person of a request, and what follows where it does not answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol
from zlib import crc32

from connectors.profiles.answers import Traits
from connectors.profiles.segment import ProfilesUnavailable
from schemas.records import MessageClass, MessageRequest

from . import metrics
from .case import Entry
from .config import EnrichmentMode, PolicyConfig
from .profile import Profile
from .profile_sources import TraitNames, profile_of_traits

FIRST_WAIT_MS = 5_000
LONGEST_WAIT_MS = 600_000
"""A message that waits for an answer asks again after 5 s, then after twice as long with each round, at most 10
minutes: an outage of a day costs some hundred rounds and not thousands."""

_URGENT = frozenset({MessageClass.CRITICAL, MessageClass.HIGH})


class Source(StrEnum):
    """Which field of a request holds an id."""

    RECIPIENT = "recipient"
    RECIPIENT_ID = "recipient_id"


@dataclass(frozen=True, slots=True)
class Identifier:
    """One way to name a person to customer data: the field of the request, and the type of id that it is there."""

    source: Source
    type: str


class Directory(Protocol):
    """Customer data that can be asked about one person; `connectors.profiles.segment.SegmentProfiles` is one."""

    async def start(self) -> None:
        """Begin, inside the running event loop."""

    async def stop(self) -> None:
        """End; who waits gets ProfilesUnavailable."""

    async def traits_of(self, id_type: str, value: str, *, urgent: bool = False) -> Traits | None:
        """The person's traits; None when nobody has that id. Raises ProfilesUnavailable when there is no answer."""


class EnrichmentUnavailable(Exception):
    """The category requires an answer of customer data and there is none.

    Attributes:
        retry_at: when it is worth asking again, epoch milliseconds UTC: for `Facts.ask_again_at`.
    """

    def __init__(self, why: str, retry_at: int) -> None:
        super().__init__(why)
        self.retry_at = retry_at


class Enrichment:
    """Asks customer data about the person of a request, as its category wants it.

    Args:
        config: the installation.
        directory: who is asked.
        identifiers: how a person is named; the next is tried where nobody has the id before.
        names: which trait tells what.
        now_ms: wall clock, epoch milliseconds UTC.
    """

    def __init__(
        self,
        config: PolicyConfig,
        directory: Directory,
        *,
        identifiers: Sequence[Identifier],
        names: TraitNames,
        now_ms: Callable[[], int],
    ) -> None:
        self._config = config
        self._directory = directory
        self._identifiers = tuple(identifiers)
        self._names = names
        self._now_ms = now_ms

    async def start(self) -> None:
        """Begin."""
        await self._directory.start()

    async def stop(self) -> None:
        """End; who still waits gets no answer."""
        await self._directory.stop()

    async def profile_of(self, request: MessageRequest, entry: Entry) -> Profile | None:
        """What is known of the person; None when nothing is, when nobody is to be asked, and when there is no answer
        and the category does not require one.

        Raises:
            EnrichmentUnavailable: there is no answer and the category requires one.
        """
        mode = self._mode(request, entry)
        if mode is EnrichmentMode.NONE:
            return None
        urgent = self._config.categories[request.category].message_class in _URGENT
        try:
            profile = await self._ask(request, urgent)
        except ProfilesUnavailable as unavailable:
            metrics.enriched(request.category, "unavailable").inc()
            if mode is EnrichmentMode.OPTIONAL:
                return None
            wait_ms = max(_wait_ms(entry), int(unavailable.retry_after_s * 1000))
            raise EnrichmentUnavailable(str(unavailable), self._now_ms() + wait_ms) from None
        metrics.enriched(request.category, "unknown" if profile is None else "known").inc()
        return profile

    def _mode(self, request: MessageRequest, entry: Entry) -> EnrichmentMode:
        """Nobody is asked about what the first rules deny anyway: an app must not spend the budget of the others on
        what it may not send."""
        grants, category = self._config.apps.get(entry.app), self._config.categories.get(request.category)
        if grants is None or category is None or not grants.enabled or category.name not in grants.categories:
            return EnrichmentMode.NONE
        return category.enrichment

    async def _ask(self, request: MessageRequest, urgent: bool) -> Profile | None:
        for each in self._identifiers:
            value = request.recipient if each.source is Source.RECIPIENT else request.recipient_id
            if not value:
                continue
            traits = await self._directory.traits_of(each.type, value, urgent=urgent)
            if traits is not None:
                return profile_of_traits(traits, self._names)
        return None


def _wait_ms(entry: Entry) -> int:
    """Longer with each round, and up to half as long again by message: those that waited for the same outage must not
    come back together."""
    wait_ms = min(LONGEST_WAIT_MS, FIRST_WAIT_MS << min(entry.round, 20))
    return wait_ms + wait_ms * (crc32(entry.message_id.encode()) % 1000) // 2000
