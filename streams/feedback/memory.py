"""What feedback remembers of messages between their facts: the facts themselves as they lie in the log, and for the
messages of the last minutes their folds as well.

The log holds everything, so forgetting is safe: a message that is not known here any more is found there (`recall.py`).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from schemas.records import StatusUpdate

from .facts import Fact
from .fold import MessageFold
from .sender_health import Outcome


class Message:
    """One message that is being told about.

    Attributes:
        fold: everything known about it.
        published: its state as last handed to Kafka; None before the first.
        searched: the log was searched for what was said about it before.
        cut: it was read back from so near the edge of what was read that something may lie beyond.
        followed: (round, status, code) of the failure whose consequences this process has seen to.
        counted: the outcome that its sender's health knows of.
    """

    __slots__ = ("counted", "cut", "fold", "followed", "published", "searched")

    def __init__(self, message_id: str, *, searched: bool = False, cut: bool = False) -> None:
        self.fold = MessageFold(message_id)
        self.published: StatusUpdate | None = None
        self.searched = searched
        self.cut = cut
        self.followed: tuple[int, str, int] | None = None
        self.counted: Outcome | None = None

    @property
    def tellable(self) -> bool:
        """Nothing that was said of it can be missing here."""
        return self.searched or (self.fold.whole and not self.cut)


class _Kept:
    __slots__ = ("cut", "facts", "message", "open", "searched", "touched_ms")

    def __init__(self) -> None:
        self.facts: list[bytes] = []
        self.message: Message | None = None
        self.searched = False
        self.cut = False
        self.open = False
        self.touched_ms = 0


class Memory:
    """The messages of the partitions that this process serves.

    Args:
        read: the fact that a record's bytes state; None when they state none (they went to comms.dead when they came).
        keep_ms: a message of which nothing was said for so long is forgotten.
        max_messages: so many are remembered at most; those silent for longest are forgotten first.
        max_folded: so many are kept folded; the others are folded again when something is said of them.
    """

    def __init__(
        self, read: Callable[[bytes], Fact | None], *, keep_ms: int, max_messages: int, max_folded: int
    ) -> None:
        self._read = read
        self._keep_ms = keep_ms
        self._max_messages = max_messages
        self._max_folded = max_folded
        self._kept: OrderedDict[str, _Kept] = OrderedDict()  # silent for longest first
        self._folded: OrderedDict[str, _Kept] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def restore(self, message_id: str, value: bytes, at_ms: int, *, finished: bool, cut: bool = False) -> None:
        """Remember a fact that was read back from the log.

        Args:
            finished: what follows from it was published. If not, it will be delivered again; it is known already, so
                that a former owner who came further is not contradicted meanwhile.
            cut: other facts of its round may lie before what is read back.
        """
        kept = self._touch(message_id, at_ms)
        kept.facts.append(value)
        kept.cut = kept.cut or cut
        kept.open = kept.open or not finished

    def add(self, fact: Fact, value: bytes, now_ms: int) -> Message:
        """Join a fact, with the bytes that state it, to what is known of its message."""
        kept = self._touch(fact.message_id, now_ms)
        message = self._fold(fact.message_id, kept)
        if message.fold.add(fact):
            kept.facts.append(value)
        return message

    def searched(self, message_id: str, found: list[bytes], now_ms: int) -> Message:
        """Join what a search of the log found to what is known; everything said so far is known now."""
        kept = self._touch(message_id, now_ms)
        message = self._fold(message_id, kept)
        for value in found:
            fact = self._read(value)
            if fact is not None and fact.message_id == message_id and message.fold.add(fact):
                kept.facts.append(value)
        kept.searched = message.searched = True
        return message

    def forget(self, now_ms: int) -> int:
        """Forget what was silent for long enough, and what is too much. Returns how many messages that were."""
        forgotten = 0
        while self._kept:
            message_id, kept = next(iter(self._kept.items()))
            if len(self._kept) <= self._max_messages and kept.touched_ms + self._keep_ms > now_ms:
                break
            del self._kept[message_id]
            self._folded.pop(message_id, None)
            forgotten += 1
        return forgotten

    def _touch(self, message_id: str, at_ms: int) -> _Kept:
        kept = self._kept.get(message_id)
        if kept is None:
            kept = self._kept[message_id] = _Kept()
        else:
            self._kept.move_to_end(message_id)
        kept.touched_ms = at_ms
        return kept

    def _fold(self, message_id: str, kept: _Kept) -> Message:
        message = kept.message
        if message is None:
            message = kept.message = Message(message_id, searched=kept.searched, cut=kept.cut)
            for value in kept.facts:
                fact = self._read(value)
                if fact is not None:
                    message.fold.add(fact)
            if kept.facts and message.tellable and not kept.open:
                message.published = message.fold.update()
                message.counted = message.fold.outcome()
            kept.open = False
            self._folded[message_id] = kept
            if len(self._folded) > self._max_folded:
                self._folded.popitem(last=False)[1].message = None
        else:
            self._folded.move_to_end(message_id)
        return message
