"""One person's messages in doubt on one lane, and what log, list and callbacks show of each; pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from connectors.twilio.addresses import format_address
from connectors.twilio.answers import Listing
from schemas.records import Callback

from .attempt_log import Made
from .attempts import Histories, Key
from .correspondence import Address, Watch
from .jobs import Job
from .matching import OpenAttempt, match

Road = tuple[str, str]
"""(account, address with its channel's prefix): what one list of Twilio's is about."""
Proofs = Mapping[tuple[Key, int], Callback]
"""Callbacks by the attempt they tell of: only an accepted message has any."""


@dataclass(slots=True)
class Doubt:
    """One message in doubt.

    Attributes:
        job: the message.
        intents: time of the INTENT by attempt number, of its open attempts; epoch milliseconds.
        account: by which they were sent; the lane may have been given another one since.
        partition: of the attempts log.
        begun: monotonic seconds of the last of these INTENTs, as far as known: the wall clock may be set meanwhile.
        look_at: when it is looked at next, monotonic seconds.
        first_look: when it could first be looked at, likewise.
        missing: how often a complete list did not show it.
    """

    job: Job
    intents: dict[int, int]
    account: str
    partition: int
    begun: float
    look_at: float
    first_look: float
    missing: int = 0

    @property
    def address(self) -> Address:
        """Whom it is for, by which lane."""
        return self.job.order.lane, self.job.order.recipient

    @property
    def road(self) -> Road:
        """Which list shows it."""
        order = self.job.order
        return self.account, format_address(order.channel, order.recipient)

    @property
    def since(self) -> int:
        """Time of its first open INTENT."""
        return min(self.intents.values())

    def set_by_ms(self, now: float, now_ms: int) -> int:
        """By how much the wall clock was set forward since its last INTENT. `now` and `now_ms` are one moment."""
        return now_ms - int((now - self.begun) * 1000) - max(self.intents.values())


@dataclass(slots=True)
class Case:
    """One person's doubts in one resolution.

    Attributes:
        group: the doubts; those that the log settles leave it.
        histories: what the log says.
        watch: whether anything to them was begun since before the log was read.
        listed: which of Twilio's lists could be had.
        found: what the list shows of each message, with the attempt that made it.
        again: all of it must be done again.
    """

    group: list[Doubt]
    histories: Histories
    watch: Watch
    listed: set[Road] = field(default_factory=set)
    found: dict[Key, list[tuple[int, Made]]] = field(default_factory=dict)
    again: bool = False

    def roads(self) -> dict[Road, list[Doubt]]:
        """The doubts by the list that shows them: a lane may have several channels, and a person an address on each."""
        roads: dict[Road, list[Doubt]] = {}
        for doubt in self.group:
            roads.setdefault(doubt.road, []).append(doubt)
        return roads

    def match(self, doubts: Sequence[Doubt], listing: Listing, now: float, now_ms: int) -> None:
        """Pair all doubts of one road with what its list shows. `now` (monotonic seconds) and `now_ms` (epoch
        milliseconds, as the INTENTs are dated) are one moment."""
        self.listed.add(doubts[0].road)
        ahead_ms = listing.date_ms - now_ms if listing.date_ms is not None else 0
        attempts = [
            OpenAttempt((doubt, attempt), doubt.job.order, intent_at + doubt.set_by_ms(now, now_ms) + ahead_ms)
            for doubt in doubts
            for attempt, intent_at in doubt.intents.items()
        ]
        for paired, message in match(attempts, listing.messages, self.histories.claims.taken()):
            doubt, attempt = paired.owner
            made = Made(message.sid, message.status, message.num_segments)
            self.found.setdefault(doubt.job.key, []).append((attempt, made))
        for doubt in doubts:
            if doubt.job.key not in self.found:
                doubt.missing += listing.complete

    def prove(self, doubt: Doubt, proofs: Proofs) -> tuple[int, Made] | None:
        """The attempt that a callback shows to have been accepted, and what it made. From here on that is nobody
        else's: two messages of one person are concluded one after the other."""
        listed = {made.sid for founds in self.found.values() for _, made in founds}
        given = self.histories.claims.taken() | listed
        for attempt in doubt.intents:
            said = proofs.get((doubt.job.key, attempt))
            # A SID that an equal text was given is not this one's any more.
            if said is not None and said.sid not in given:
                proof = attempt, Made(said.sid, said.status, said.num_segments)
                self.found[doubt.job.key] = [proof]
                return proof
        return None
