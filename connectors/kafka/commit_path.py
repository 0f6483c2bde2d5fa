"""The one way by which offsets and metadata are committed.

Two ways race: a late older offset moves the group backwards, and its newer metadata hides what should be read back
(measured in a prototype: 10 of 10,000 messages sent twice).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from . import metrics
from .commit_book import Commit, CommitBook
from .hooks import PartitionHooks
from .ledger import NO_GENERATION, Ledger
from .topic_partition import TP

log = structlog.get_logger(__name__)


class CommitPath:
    """Commits what the ledger says, one commit at a time. A failure is logged when failures begin and when they end;
    what was not confirmed is due again at the next call."""

    def __init__(
        self, ledger: Ledger, hooks: PartitionHooks, send: Callable[[Mapping[TP, Commit]], Awaitable[bool]]
    ) -> None:
        """`send` returns whether the broker confirmed, and raises for nothing that Kafka may do."""
        self._ledger = ledger
        self._hooks = hooks
        self._send = send
        self._book = CommitBook()
        self._one_at_a_time = asyncio.Lock()
        self._failing = False

    def begin(self, confirmed: Mapping[TP, Commit]) -> None:
        """A generation of the ledger begins; the group holds `confirmed`."""
        self._book.begin(confirmed)

    async def commit(self) -> bool:
        """Commit the finished prefix of every partition with its metadata, wherever that differs from what the broker
        has confirmed. True if something was committed."""
        async with self._one_at_a_time:
            generation = self._ledger.generation
            if generation == NO_GENERATION:
                return False
            commits = self._book.due(self._ledger, self._hooks.position_meta)
            if not commits:
                return False
            confirmed = await self._send(commits)
            self._note(confirmed)
            if confirmed and self._ledger.generation == generation:
                self._book.confirm(commits)
                for tp, commit in commits.items():
                    self._hooks.committed(tp, commit.offset)
            return confirmed

    def _note(self, confirmed: bool) -> None:
        (metrics.COMMITS if confirmed else metrics.COMMIT_FAILURES).inc()
        if confirmed and self._failing:
            log.info("commits succeed again")
        elif not confirmed and not self._failing:
            log.warning("commits fail; finished records may be delivered again")
        self._failing = not confirmed
