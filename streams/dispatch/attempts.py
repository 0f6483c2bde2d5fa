"""What the attempts log says of a message: pure.

Each attempt has an INTENT before its POST and a RESULT after it. A RESULT beats the INTENT of the same attempt in any
order: a process that was paused may append an INTENT late, whose POST its lease forbids.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from connectors.kafka.topic_partition import TP
from schemas.records import Attempt, AttemptKind, Follows

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
        source, offset: the dispatch record that it was sent for, by the first attempt that was read.
        first_position: lowest offset in the attempts log of any of its records.
    """

    source: TP
    offset: int
    first_position: int
    _intents: dict[int, Attempt] = field(default_factory=dict)
    _results: dict[int, Attempt] = field(default_factory=dict)

    def add(self, record: Attempt, position: int) -> None:
        """Take a record in, in any order and any number of times."""
        self.first_position = min(self.first_position, position)
        if record.kind is AttemptKind.INTENT:
            self._intents.setdefault(record.attempt, record)
            return
        known = self._results.get(record.attempt)
        # Two owners may resolve one doubt; whoever found the message knows more than who did not.
        if known is None or (known.follows is Follows.RETRY and record.follows is not Follows.RETRY):
            self._results[record.attempt] = record

    def state(self) -> State:
        """What follows for the message."""
        for attempt in sorted(self._results, reverse=True):
            if self._results[attempt].follows in (Follows.FINAL, Follows.WHEEL):
                return Ended(self._results[attempt])
        open_attempts = sorted(self._intents.keys() - self._results.keys())
        if open_attempts:
            return Doubtful(tuple(self._intents[attempt] for attempt in open_attempts))
        last = max(self._results)
        return Retry(last + 1, self._results[last].follows_at or 0)

    @property
    def last_attempt(self) -> int:
        """The highest number used so far."""
        return max((*self._intents, *self._results))


class Histories:
    """Histories by message, as a stretch of the log is read in order."""

    def __init__(self) -> None:
        self._known: dict[Key, History] = {}
        self._by_source: dict[TP, dict[int, Key]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def add(self, record: Attempt, partition: int, position: int) -> None:
        """Take in a record that lies at this position of this partition of the attempts log."""
        key = (record.message_id, record.round)
        history = self._known.get(key)
        if history is None:
            source = TP(record.source_topic, partition)
            history = self._known[key] = History(source, record.source_offset, position)
            self._by_source.setdefault(source, {})[record.source_offset] = key
        history.add(record, position)

    def get(self, key: Key) -> History | None:
        """What is known of a message."""
        return self._known.get(key)

    def take(self, key: Key) -> History | None:
        """What was known of a message that from now on has a life of its own here."""
        return self._known.pop(key, None)

    def committed(self, tp: TP, offset: int) -> None:
        """Forget the messages whose records lie below a committed offset: they do not come again."""
        sources = self._by_source.get(tp)
        if sources:
            for done in [each for each in sources if each < offset]:
                self._known.pop(sources.pop(done), None)

    def all(self) -> list[History]:
        """Everything known."""
        return list(self._known.values())
