"""What the attempts log says of a message: pure.

Each attempt has an INTENT before its POST and a RESULT after it. A RESULT beats the INTENT of the same attempt in any
order: a process that was paused may append an INTENT late, whose POST its lease forbids. That Twilio accepted one
attempt beats whatever is said of it or of any other: such a message must not be sent again.

Such a process may append RESULTs late as well. Two of them prove less than they say. "Not started" speaks for the
assignment of the process that wrote it (both are the record's owner): its successor may have used the same number, for
it had not read that INTENT. And a SID that Twilio's list has given to one message is not another's, for the other was
sent again: of equal texts to one person any may have been taken for the one that Twilio has.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from connectors.kafka.topic_partition import TP
from schemas.records import Attempt, AttemptKind, AttemptOutcome, Follows

from .correspondence import Address

Key = tuple[str, int]
"""(message id, round)."""


@dataclass(frozen=True, slots=True)
class Ended:
    """The message has left dispatch, or would have: do again what the result says follows."""

    result: Attempt


@dataclass(frozen=True, slots=True)
class Retry:
    """The last attempt certainly sent nothing: the next one follows.

    Attributes:
        attempt: its number.
        not_before_ms: epoch milliseconds; 0 for at once.
    """

    attempt: int
    not_before_ms: int


@dataclass(frozen=True, slots=True)
class Doubtful:
    """Attempts whose end nobody wrote down: only Twilio can tell what became of them.

    Attributes:
        intents: of the open attempts, by number.
    """

    intents: tuple[Attempt, ...]


State = Ended | Retry | Doubtful


@dataclass(slots=True)
class History:
    """All that was read of one message.

    Attributes:
        key: the message.
        address: whom it is for, by which lane.
        source, offset: the dispatch record that it was sent for, by the first attempt that was read.
        first_position: lowest offset in the attempts log of any of its records.
        claims: whose each SID is.
    """

    key: Key
    address: Address
    source: TP
    offset: int
    first_position: int
    claims: Claims
    _intents: dict[int, list[Attempt]] = field(default_factory=dict)
    _results: dict[int, list[Attempt]] = field(default_factory=dict)

    def add(self, record: Attempt, position: int) -> None:
        """Take a record in, in any order and any number of times."""
        self.first_position = min(self.first_position, position)
        known = self._intents if record.kind is AttemptKind.INTENT else self._results
        known.setdefault(record.attempt, []).append(record)

    def state(self) -> State:
        """What follows for the message."""
        results = [each for results in self._results.values() for each in results if self._is_its_own(each)]
        # Two owners may resolve one doubt; whoever found the message knows more than who did not.
        ends = [each for each in results if each.follows in (Follows.FINAL, Follows.WHEEL)]
        end = max(ends, key=lambda each: (_accepted(each), each.attempt, not _not_started(each)), default=None)
        left = self._open(results)
        if end is not None and not (_not_started(end) and left and left[-1].attempt >= end.attempt):
            return Ended(end)
        if left:
            return Doubtful(tuple(left))
        last = max((each.attempt for each in results), default=self.last_attempt)
        return Retry(last + 1, max((each.follows_at or 0 for each in results if each.attempt == last), default=0))

    def not_sent(self, attempts: Collection[int]) -> Retry | None:
        """What follows where RESULTs say of each of these attempts that it certainly sent nothing; None where they do
        not. One that somebody looked for in vain may have been sent."""
        state, answered = self.state(), self._intents.keys() - self._looked_for()
        return state if isinstance(state, Retry) and answered.issuperset(attempts) else None

    def _looked_for(self) -> set[int]:
        results = (each for results in self._results.values() for each in results)
        return {each.attempt for each in results if each.outcome is AttemptOutcome.IN_DOUBT}

    def _is_its_own(self, result: Attempt) -> bool:
        return result.sid is None or self.claims.given_to(result.sid) in (None, self.key)

    def _open(self, results: list[Attempt]) -> list[Attempt]:
        """An INTENT of each attempt that may have been sent, and of which nobody said what became of it."""
        ended = {each.attempt for each in results if not _not_started(each)}
        withdrawn = {(each.attempt, each.owner) for each in results}
        left: list[Attempt] = []
        for attempt in sorted(self._intents.keys() - ended):
            of_it = [each for each in self._intents[attempt] if (attempt, each.owner) not in withdrawn]
            if of_it:
                left.append(max(of_it, key=lambda each: each.at))  # the younger owner's is the one that was sent
        return left

    @property
    def lost(self) -> int:
        """Attempts in doubt that nothing at Twilio showed, after which it was to be sent again."""
        results = (each for results in self._results.values() for each in results)
        lost = (each for each in results if each.outcome is AttemptOutcome.IN_DOUBT and each.follows is Follows.RETRY)
        return len({each.attempt for each in lost})

    @property
    def last_attempt(self) -> int:
        """The highest number used so far."""
        return max((*self._intents, *self._results))


def _accepted(result: Attempt) -> bool:
    return result.outcome is AttemptOutcome.ACCEPTED


def _not_started(result: Attempt) -> bool:
    return result.outcome is AttemptOutcome.NOT_STARTED


class Claims:
    """Whose each SID is, by all RESULTs that were read.

    An answer tells what became of its own POST. A list tells that Twilio has a text, and of equal ones whoever asked
    first got it, whether it was theirs or not; until their own answer says that they had made another.
    """

    __slots__ = ("_answered", "_listed")

    def __init__(self) -> None:
        self._answered: dict[tuple[Key, int], str] = {}
        self._listed: dict[str, tuple[Key, int]] = {}

    def add(self, result: Attempt) -> None:
        """Take in a RESULT that names a SID."""
        assert result.sid is not None
        attempt = ((result.message_id, result.round), result.attempt)
        if _found_in_list(result):
            self._listed.setdefault(result.sid, attempt)
        else:
            self._answered[attempt] = result.sid

    def given_to(self, sid: str) -> Key | None:
        """The message that this SID was given to by a list, and may keep."""
        attempt = self._listed.get(sid)
        return attempt[0] if attempt is not None and self._answered.get(attempt, sid) == sid else None

    def taken(self) -> set[str]:
        """All SIDs that belong to a message."""
        return {*self._answered.values(), *(sid for sid in self._listed if self.given_to(sid) is not None)}


def _found_in_list(result: Attempt) -> bool:
    """An answer to a POST carries Twilio's date and request id, a message in a list neither."""
    return result.twilio_date is None and result.request_id is None


class Histories:
    """Histories by message, as a stretch of the log is read in order.

    Attributes:
        claims: whose each SID is.
    """

    def __init__(self) -> None:
        self._known: dict[Key, History] = {}
        self._by_source: dict[TP, dict[int, Key]] = {}
        self._doubtful: dict[Address, set[Key]] | None = None  # found out when first asked for
        self.claims = Claims()

    def __len__(self) -> int:
        return len(self._known)

    def add(self, record: Attempt, partition: int, position: int) -> None:
        """Take in a record that lies at this position of this partition of the attempts log."""
        key = (record.message_id, record.round)
        history = self._known.get(key)
        if history is None:
            source = TP(record.source_topic, partition)
            address = (record.lane, record.recipient)
            history = self._known[key] = History(key, address, source, record.source_offset, position, self.claims)
            self._by_source.setdefault(source, {})[record.source_offset] = key
        if record.sid is not None:
            self.claims.add(record)
        history.add(record, position)
        self._doubtful = None

    def get(self, key: Key) -> History | None:
        """What is known of a message."""
        return self._known.get(key)

    def take(self, key: Key) -> History | None:
        """What was known of a message that from now on has a life of its own here."""
        history = self._known.pop(key, None)
        if history is not None:
            self._forget_doubt(history)
        return history

    def in_doubt(self, address: Address) -> bool:
        """Whether a message to this person is in doubt that has not been taken yet."""
        if self._doubtful is None:
            self._doubtful = {}
            for history in self._known.values():
                if isinstance(history.state(), Doubtful):
                    self._doubtful.setdefault(history.address, set()).add(history.key)
        return address in self._doubtful

    def committed(self, tp: TP, offset: int) -> None:
        """Forget the messages whose records lie below a committed offset: they do not come again."""
        sources = self._by_source.get(tp)
        if sources:
            for done in [each for each in sources if each < offset]:
                self.take(sources.pop(done))

    def all(self) -> list[History]:
        """Everything known."""
        return list(self._known.values())

    def _forget_doubt(self, history: History) -> None:
        keys = (self._doubtful or {}).get(history.address)
        if keys is not None:
            keys.discard(history.key)
            if not keys and self._doubtful is not None:
                del self._doubtful[history.address]
