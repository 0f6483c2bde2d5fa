"""Messages whose answer was lost: waits until Twilio has settled, then asks its list, all messages to one person on one
lane together.

Order of one resolution: nothing to that person under way → what the attempts log says by now (an answer that a former
owner wrote late, SIDs claimed by others) → Twilio's list → pairs. If a POST to that person begins meanwhile, all of it
is done again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import structlog

from connectors.masking import mask_numbers
from connectors.outage import Outage
from connectors.twilio.account import Account
from connectors.twilio.answers import Listing, Rejected, SentMessage, Unavailable
from schemas.records import Attempt, Channel, DoubtPolicy

from .attempts import Ended, Histories, Key
from .bucket import Bucket
from .correspondence import Address, Correspondence, Watch
from .jobs import Job
from .look import INTENT_VALID_MS
from .matching import CLOCKS_APART_MS, OpenAttempt, match

log = structlog.get_logger(__name__)

SETTLE_S = 20.0
"""Twilio may still accept a request some seconds after our timeout of 10 s, and its list may lag behind."""
DOUBT_ENDS_AFTER_S = 900.0
"""A doubt that nothing has resolved so long after it could first be looked at is given up. Its INTENT may be far older:
a successor that starts an hour later must have looked before it sends anything again."""
LISTINGS = {DoubtPolicy.RESEND: 1, DoubtPolicy.STOP: 2}
"""How often a message must be missing from a complete list. A message that is only declared unknown, not sent again,
can wait for a list that lags."""
LIST_AGAIN_S = 30.0
TRY_AGAIN_S = 2.0
"""Pause after a list that could not be had or was disturbed."""
LISTS_PER_S = 10.0
"""Requests for lists per account: a crash leaves some hundred messages in doubt, and sending goes on beside."""
AT_ONCE = 50
"""People resolved in one go: they share one reading of the attempts log."""
LISTING_MARGIN_MS = 900_000
"""Lists are asked for from so much earlier: Twilio's clock may be apart from ours, and its answer tells by how much."""
CLAIMS_FROM_MS = 2 * CLOCKS_APART_MS
"""The log is read from so long before the first INTENT: whatever message of the list may still match, the RESULT that
claims it must be among what was read. A list's date leaves out the fraction of its second and is as old as the answer
took, so that messages of more than CLOCKS_APART_MS before seem to match."""
TICK_S = 0.2


class Lists(Protocol):
    """What lists; `connectors.twilio.messages.Messages`."""

    async def list_to(
        self, account: Account, to: str, since_ms: int, *, channel: Channel = Channel.SMS
    ) -> Listing | Rejected | Unavailable:
        """Messages to one address."""


Find = Callable[[int, int, Iterable[str]], Awaitable[list[tuple[Attempt, int]]]]
"""`Replay.find`."""


@dataclass(slots=True)
class Doubt:
    """One message in doubt.

    Attributes:
        job: the message.
        intents: time of the INTENT by attempt number, of its open attempts; epoch milliseconds.
        partition: of the attempts log.
        look_at: when it is looked at next, epoch milliseconds.
        first_look: when it could first be looked at, likewise.
        missing: how often a complete list did not show it.
    """

    job: Job
    intents: dict[int, int]
    partition: int
    look_at: int
    first_look: int
    missing: int = 0

    @property
    def address(self) -> Address:
        """Whom it is for, by which lane."""
        return self.job.order.lane, self.job.order.recipient

    @property
    def since(self) -> int:
        """Time of its first open INTENT."""
        return min(self.intents.values())


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What the desk's owner does with what came out; each returns when that is written down.

    Attributes:
        found: Twilio has the message, made by this attempt.
        missing: Twilio does not have it as far as can be known: the category decides, and if no complete list was
            read (the last argument), it may not be sent again.
        told: the log has a RESULT after all.
    """

    found: Callable[[Job, int, SentMessage], Awaitable[None]]
    missing: Callable[[Job, tuple[int, ...], bool], Awaitable[None]]
    told: Callable[[Job, Attempt], Awaitable[None]]


@dataclass(slots=True)
class DoubtDesk:
    """Resolves doubts, on one event loop.

    Args:
        lists: asks Twilio.
        find: reads the attempts log.
        accounts: by name.
        correspondence: what is under way.
        outcomes: what follows.
        may_act: this process still owns the partitions.
        clock: monotonic seconds.
        now_ms: epoch milliseconds.
        settle_s: from an INTENT to the first list; longer than a request may take.
    """

    lists: Lists
    find: Find
    accounts: Mapping[str, Account]
    correspondence: Correspondence
    outcomes: Outcomes
    may_act: Callable[[], bool]
    clock: Callable[[], float]
    now_ms: Callable[[], int]
    settle_s: float = SETTLE_S
    resolved: int = 0
    _open: dict[Key, Doubt] = field(default_factory=dict)
    _budgets: dict[str, Bucket] = field(default_factory=dict)
    _trouble: Outage = field(default_factory=lambda: Outage("Twilio's message list"))

    def __len__(self) -> int:
        return len(self._open)

    def add(self, job: Job, intents: Mapping[int, int]) -> None:
        """A message is in doubt by these attempts (number → epoch milliseconds of the INTENT)."""
        ready_at = max(intents.values()) + INTENT_VALID_MS + int(self.settle_s * 1000)
        first_look = max(ready_at, self.now_ms())
        self._open[job.key] = Doubt(job, dict(intents), job.records[0].message.partition, ready_at, first_look)

    def clear(self) -> None:
        """The partitions are another's."""
        self._open.clear()

    async def run(self) -> None:
        """Resolve what is ready, until cancelled."""
        while True:
            ready = self._ready() if self._open and self.may_act() else []
            if ready:
                await self._resolve_all(ready)
            else:
                await asyncio.sleep(TICK_S)

    def _ready(self) -> list[list[Doubt]]:
        """Groups of doubts about one person, ready and with nothing under way."""
        now_ms = self.now_ms()
        due = {doubt.address for doubt in self._open.values() if doubt.look_at <= now_ms}
        groups: dict[Address, list[Doubt]] = {}
        for doubt in self._open.values():
            if doubt.address in due:
                groups.setdefault(doubt.address, []).append(doubt)
        # Siblings are resolved together, so the youngest decides when.
        return [
            group
            for address, group in groups.items()
            if all(doubt.look_at <= now_ms for doubt in group) and not self.correspondence.busy(address)
        ][:AT_ONCE]

    async def _resolve_all(self, groups: list[list[Doubt]]) -> None:
        watches = [self.correspondence.watch(group[0].address) for group in groups]
        try:
            by_partition: dict[int, list[Doubt]] = {}
            for group in groups:
                for doubt in group:
                    by_partition.setdefault(doubt.partition, []).append(doubt)
            known: dict[int, list[tuple[Attempt, int]]] = {}
            for partition, doubts in by_partition.items():
                since = min(doubt.since for doubt in doubts) - CLAIMS_FROM_MS
                known[partition] = await self.find(partition, since, {doubt.job.order.recipient for doubt in doubts})
            for group, watch in zip(groups, watches, strict=True):
                if not await self._resolve(group, known[group[0].partition], watch):
                    self._later(group, TRY_AGAIN_S)
        finally:
            for watch in watches:
                self.correspondence.unwatch(watch)

    async def _resolve(self, group: list[Doubt], known: list[tuple[Attempt, int]], watch: Watch) -> bool:
        """Resolve one person's doubts. False if it must be done again."""
        histories = Histories()
        for record, position in known:
            histories.add(record, group[0].partition, position)
        told = [doubt for doubt in group if await self._told_by_log(doubt, histories)]
        left = [doubt for doubt in group if doubt not in told]
        if not left:
            return True
        listing = await self._list(left)
        if watch.disturbed or not self.may_act():
            return False
        if listing is None:
            return await self._give_up_overdue(left)
        ahead_ms = listing.date_ms - self.now_ms() if listing.date_ms is not None else 0
        attempts = [
            OpenAttempt((doubt, attempt), doubt.job.order, intent_at + ahead_ms)
            for doubt in left
            for attempt, intent_at in doubt.intents.items()
        ]
        found: dict[Key, list[tuple[int, SentMessage]]] = {}
        for paired, message in match(attempts, listing.messages, histories.claims.taken()):
            doubt, attempt = paired.owner
            found.setdefault(doubt.job.key, []).append((attempt, message))
        for doubt in left:
            if not self.may_act():
                return False  # the process was paused meanwhile: a successor reads the list for itself
            await self._conclude(doubt, found.get(doubt.job.key, []), listing)
        return True

    async def _told_by_log(self, doubt: Doubt, histories: Histories) -> bool:
        history = histories.get(doubt.job.key)
        state = history.state() if history is not None else None
        if not isinstance(state, Ended):
            return False
        self._close(doubt)
        await self.outcomes.told(doubt.job, state.result)
        return True

    async def _conclude(self, doubt: Doubt, found: list[tuple[int, SentMessage]], listing: Listing) -> None:
        job = doubt.job
        if found:
            if len(found) > 1:
                log.error("a message was sent more than once", message_id=job.order.message_id, times=len(found))
            attempt, message = found[0]
            self._close(doubt)
            await self.outcomes.found(job, attempt, message)
            return
        doubt.missing += listing.complete
        if doubt.missing >= LISTINGS[job.order.doubt_policy] or self._overdue(doubt):
            await self._give_up(doubt)
        else:
            doubt.look_at = self.now_ms() + int(LIST_AGAIN_S * 1000)

    async def _give_up_overdue(self, group: list[Doubt]) -> bool:
        """Leave to their categories those whose list could not be had for too long."""
        overdue = [doubt for doubt in group if self._overdue(doubt)]
        for doubt in overdue:
            await self._give_up(doubt)
        return len(overdue) == len(group)

    async def _give_up(self, doubt: Doubt) -> None:
        self._close(doubt)
        await self.outcomes.missing(doubt.job, tuple(doubt.intents), doubt.missing > 0)

    def _overdue(self, doubt: Doubt) -> bool:
        now_ms = self.now_ms()
        return now_ms > doubt.job.deadline or now_ms - doubt.first_look > DOUBT_ENDS_AFTER_S * 1000

    def _close(self, doubt: Doubt) -> None:
        if self._open.get(doubt.job.key) is doubt:
            del self._open[doubt.job.key]
        self.resolved += 1

    def _later(self, group: list[Doubt], seconds: float) -> None:
        for doubt in group:
            doubt.look_at = max(doubt.look_at, self.now_ms() + int(seconds * 1000))

    async def _list(self, group: list[Doubt]) -> Listing | None:
        order = group[0].job.order
        account = self.accounts.get(order.account)
        if account is None:
            self._trouble.began(f"account {order.account} is not configured")
            return None
        budget = self._budgets.setdefault(order.account, Bucket(LISTS_PER_S))
        wait_s = budget.due(1) - self.clock()
        if wait_s > 0:
            await asyncio.sleep(wait_s)
        budget.charge(1, self.clock())
        since = min(doubt.since for doubt in group) - LISTING_MARGIN_MS
        answer = await self.lists.list_to(account, order.recipient, since, channel=order.channel)
        if isinstance(answer, Listing):
            self._trouble.ended()
            return answer
        self._trouble.began(answer.why if isinstance(answer, Unavailable) else mask_numbers(answer.error.message))
        return None
