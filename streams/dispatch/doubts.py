"""Messages whose answer was lost: waits until Twilio has settled, then asks its list, all messages to one person on one
lane together.

Order of one resolution: nothing to that person under way → what the attempts log says by now (an answer that a former
owner wrote late, SIDs claimed by others) → Twilio's list → pairs → before one is given up, the callbacks that came for
it. If a POST to that person begins meanwhile, all of it is done again.

"All messages to one person" are also those that a former owner left in doubt and whose records have not come yet: of
texts that Twilio rewrites, one alone could be taken for another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field

import structlog

from schemas.records import Attempt, Callback, DoubtPolicy

from . import metrics
from .attempt_log import Made
from .attempts import Ended, Histories, Key, Retry
from .cases import Case, Doubt, Proofs
from .correspondence import Address, Correspondence
from .jobs import Job
from .listing import Lister
from .look import INTENT_VALID_MS
from .matching import CLOCKS_APART_MS
from .shared_reading import Find, about

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
SIBLINGS_WITHIN_S = 120.0
"""How long a doubt waits for the records of others to the same person. They lie near its own, among what a former owner
held; one that does not come (a window was made smaller) must not hold it for ever."""
SILENCE_AFTER_S = 30.0
"""A doubt about somebody who is written to all the time: after so long nothing more is begun to them until Twilio's
list was read once."""
AT_ONCE = 50
"""People resolved in one go: they share one reading of the attempts log."""
CLAIMS_FROM_MS = 2 * CLOCKS_APART_MS
"""The log is read from so long before the first INTENT: whatever message of the list may still match, the RESULT that
claims it must be among what was read. A list's date leaves out the fraction of its second and is as old as the answer
took, so that messages of more than CLOCKS_APART_MS before seem to match."""
TICK_S = 0.2


Callbacks = Callable[[Mapping[str, int]], Awaitable[list[Callback]]]
"""`Replay.callbacks`."""


@dataclass(frozen=True, slots=True)
class Outcomes:
    """What the desk's owner does with what came out; each returns when that is written down.

    Attributes:
        found: Twilio has the message, made by this attempt.
        missing: Twilio does not have it as far as can be known: the category decides, and if no complete list was
            read (the last argument), it may not be sent again. Returns whether it is.
        told: the log has a RESULT after all.
        not_sent: by what it has, nothing was sent, and another attempt follows.
    """

    found: Callable[[Job, int, Made], Awaitable[None]]
    missing: Callable[[Job, tuple[int, ...], bool], Awaitable[bool]]
    told: Callable[[Job, Attempt], Awaitable[None]]
    not_sent: Callable[[Job, Retry], Awaitable[None]]


@dataclass(slots=True)
class DoubtDesk:
    """Resolves doubts, on one event loop.

    Args:
        lister: asks Twilio.
        find: reads the attempts log.
        callbacks: reads what Twilio's callbacks said.
        correspondence: what is under way.
        places: partitions of the attempts log on which a group lies or has lain: SIDs were claimed there, too.
        awaited: whether a former owner left a message to this person in doubt whose record has not come yet.
        outcomes: what follows.
        may_act: this process still owns the partitions.
        clock: monotonic seconds: how long is waited is nothing that a wall clock which is set may shorten.
        now_ms: epoch milliseconds.
        settle_s: from an INTENT to the first list; longer than a request may take.
    """

    lister: Lister
    find: Find
    callbacks: Callbacks
    correspondence: Correspondence
    places: Callable[[str], Collection[int]]
    awaited: Callable[[Address], bool]
    outcomes: Outcomes
    may_act: Callable[[], bool]
    clock: Callable[[], float]
    now_ms: Callable[[], int]
    settle_s: float = SETTLE_S
    _open: dict[Key, Doubt] = field(default_factory=dict)
    _kept_waiting: dict[Address, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._open)

    def add(self, job: Job, intents: Mapping[int, int], account: str, begun: float | None = None) -> None:
        """A message is in doubt by these attempts of an account (number → epoch milliseconds of the INTENT). `begun`:
        when the POST of the last of them was, monotonic seconds, where that is known here."""
        now = self.clock()
        if begun is None:
            begun = now - (self.now_ms() - max(intents.values())) / 1000
        first_look = max(now, begun + INTENT_VALID_MS / 1000 + self.settle_s)
        partition = job.records[0].message.partition
        self._open[job.key] = Doubt(job, dict(intents), account, partition, begun, first_look, first_look)
        metrics.doubts_open.set(len(self._open))

    def clear(self) -> None:
        """The partitions are another's."""
        self._open.clear()
        self._kept_waiting.clear()
        self._show()

    def wants_silence(self, lane: str, recipient: str) -> bool:
        """Nothing more may be begun to this person: a doubt about them has waited for silence long enough."""
        if not self._kept_waiting:
            return False
        since = self._kept_waiting.get((lane, recipient))
        return since is not None and self.clock() - since > SILENCE_AFTER_S

    async def run(self) -> None:
        """Resolve what is ready, until cancelled."""
        while True:
            ready = self._ready() if self._open and self.may_act() else []
            self._show()
            if ready:
                await self._resolve_all(ready)
            else:
                await asyncio.sleep(TICK_S)

    def _show(self) -> None:
        metrics.doubts_open.set(len(self._open))
        oldest = min((doubt.since for doubt in self._open.values()), default=self.now_ms())
        metrics.oldest_doubt.set(max(0, self.now_ms() - oldest) / 1000)

    # When -------------------------------------------------------------------------------------------------------------

    def _ready(self) -> list[list[Doubt]]:
        """Groups of doubts about one person, ready and with nothing under way."""
        now = self.clock()
        due = {doubt.address for doubt in self._open.values() if doubt.look_at <= now}
        groups: dict[Address, list[Doubt]] = {}
        for doubt in self._open.values():
            if doubt.address in due:
                groups.setdefault(doubt.address, []).append(doubt)
        return [group for address, group in groups.items() if self._is_ready(address, group, now)][:AT_ONCE]

    def _is_ready(self, address: Address, group: list[Doubt], now: float) -> bool:
        # Siblings are resolved together, so the youngest decides when.
        if self.correspondence.busy(address) or any(doubt.look_at > now for doubt in group):
            self._kept_waiting.setdefault(address, now)
            return False
        waited_s = now - min(doubt.first_look for doubt in group)
        return waited_s > SIBLINGS_WITHIN_S or not self.awaited(address)

    def _later(self, group: Iterable[Doubt], seconds: float) -> None:
        for doubt in group:
            doubt.look_at = max(doubt.look_at, self.clock() + seconds)

    def _since(self, doubt: Doubt) -> int:
        """Time of its first open INTENT, by the clock as it was or as it is, whichever is earlier."""
        return doubt.since + min(0, doubt.set_by_ms(self.clock(), self.now_ms()))

    # How --------------------------------------------------------------------------------------------------------------

    async def _resolve_all(self, groups: list[list[Doubt]]) -> None:
        watches = [self.correspondence.watch(group[0].address) for group in groups]
        try:
            histories = await self._read_log(groups)
            cases = [Case(group, histories[watch.address], watch) for group, watch in zip(groups, watches, strict=True)]
            async with asyncio.TaskGroup() as asking:
                for case in cases:
                    asking.create_task(self._ask(case))
            proofs = await self._proofs(cases)
            async with asyncio.TaskGroup() as concluding:
                for case in cases:
                    concluding.create_task(self._conclude(case, proofs))
        finally:
            for watch in watches:
                self.correspondence.unwatch(watch)

    async def _read_log(self, groups: list[list[Doubt]]) -> dict[Address, Histories]:
        by_partition: dict[int, list[Doubt]] = {}
        for group in groups:
            for doubt in group:
                for partition in {doubt.partition, *self.places(doubt.job.order.group)}:
                    by_partition.setdefault(partition, []).append(doubt)
        read: dict[Address, Histories] = {group[0].address: Histories() for group in groups}
        by_person: dict[str, list[Histories]] = {}
        for (_, recipient), histories in read.items():
            by_person.setdefault(recipient, []).append(histories)
        for partition, doubts in by_partition.items():
            since = min(map(self._since, doubts)) - CLAIMS_FROM_MS
            people = {doubt.job.order.recipient for doubt in doubts}
            for record, position in await self.find(partition, since, about(people)):
                for histories in by_person[record.recipient]:
                    histories.add(record, partition, position)
        return read

    async def _ask(self, case: Case) -> None:
        """What log and list say of one person's doubts."""
        told = [doubt for doubt in case.group if await self._told_by_log(doubt, case.histories)]
        case.group = [doubt for doubt in case.group if doubt not in told]
        if not case.group:
            return
        address = case.watch.address
        asked = [
            (doubts, await self.lister.list(doubts[0].job.order, min(map(self._since, doubts)), account))
            for (account, _), doubts in case.roads().items()
        ]
        case.again = case.watch.disturbed
        if case.again:
            self._kept_waiting.setdefault(address, self.clock())
            return
        self._kept_waiting.pop(address, None)
        for doubts, listing in asked:
            if listing is not None:
                case.match(doubts, listing, self.clock(), self.now_ms())

    async def _proofs(self, cases: list[Case]) -> Proofs:
        """Callbacks for attempts of messages that would be given up now: only an accepted message has any."""
        wanted = {
            doubt.job.order.message_id: self._since(doubt) - CLOCKS_APART_MS
            for case in cases
            if not case.again
            for doubt in case.group
            if doubt.job.key not in case.found and self._is_over(doubt)
        }
        if not wanted:
            return {}
        return {
            ((each.message_id, each.round), each.attempt): each
            for each in await self.callbacks(wanted)
            if each.attempt is not None
        }

    # What follows -----------------------------------------------------------------------------------------------------

    async def _told_by_log(self, doubt: Doubt, histories: Histories) -> bool:
        history = histories.get(doubt.job.key)
        if history is None:
            return False
        state = history.state()
        if isinstance(state, Ended):
            self._close(doubt)
            await self.outcomes.told(doubt.job, state.result)
        elif (retry := history.not_sent(doubt.intents)) is not None:
            self._close(doubt)
            await self.outcomes.not_sent(doubt.job, retry)
        else:
            return False
        metrics.doubts_resolved.labels("told_by_log").inc()
        return True

    async def _conclude(self, case: Case, proofs: Proofs) -> None:
        for doubt in case.group:
            # If the process was paused meanwhile, a successor reads the list for itself.
            if case.again or not self.may_act():
                self._later([doubt], TRY_AGAIN_S)
            elif found := case.found.get(doubt.job.key):
                if len(found) > 1:
                    log.error("a message was sent twice", message_id=doubt.job.order.message_id, times=len(found))
                await self._found(doubt, *found[0], "found_in_list")
            elif not self._is_over(doubt):
                self._later([doubt], LIST_AGAIN_S if doubt.road in case.listed else TRY_AGAIN_S)
            elif proof := case.prove(doubt, proofs):
                await self._found(doubt, *proof, "told_by_callback")
            else:
                await self._give_up(doubt)

    async def _found(self, doubt: Doubt, attempt: int, made: Made, how: str) -> None:
        self._close(doubt)
        await self.outcomes.found(doubt.job, attempt, made)
        metrics.doubts_resolved.labels(how).inc()

    async def _give_up(self, doubt: Doubt) -> None:
        self._close(doubt)
        sent_again = await self.outcomes.missing(doubt.job, tuple(doubt.intents), doubt.missing > 0)
        metrics.doubts_resolved.labels("sent_again" if sent_again else "unknown").inc()

    def _is_over(self, doubt: Doubt) -> bool:
        """Missing from as many lists as its category asks for, or too old."""
        if doubt.missing >= LISTINGS[doubt.job.order.doubt_policy]:
            return True
        return self.now_ms() > doubt.job.deadline or self.clock() - doubt.first_look > DOUBT_ENDS_AFTER_S

    def _close(self, doubt: Doubt) -> None:
        if self._open.get(doubt.job.key) is doubt:
            del self._open[doubt.job.key]
            if self._kept_waiting and all(other.address != doubt.address for other in self._open.values()):
                self._kept_waiting.pop(doubt.address, None)
