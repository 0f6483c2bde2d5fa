"""What the log of one partition means: the fold of its records in the order of their offsets. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum, auto
from typing import NamedTuple

from .envelope import MARK_KEY, Claim, Source, Write

NO_CLAIM = -1


class Reached(NamedTuple):
    """How far a source was folded in, and which key's record says so: whoever overwrites that record must repeat it,
    or compaction would take it away.

    Attributes:
        offset: the highest folded.
        carrier: key of the record that holds it.
    """

    offset: int
    carrier: bytes


class Folded(Enum):
    """What became of a record."""

    APPLIED = auto()
    CLAIMED = auto()
    STALE = auto()
    """Written by an owner that was no more: ignored by every fold."""


class Fold:
    """The state of one partition but for its entries, which are in the store.

    Args:
        position: offset of the next record to fold.
        claim: offset of the last CLAIM before it.
        sources: how far the sources were folded in.
    """

    def __init__(
        self, position: int = 0, claim: int = NO_CLAIM, sources: Mapping[Source, Reached] | None = None
    ) -> None:
        self.position = position
        self.claim = claim
        self.sources = dict(sources or {})
        self.changes: dict[bytes, bytes | None] = {}
        """Entries since the last `take_changes`."""
        self.overwritten: set[bytes] = set()
        """Keys whose last record in the log is a stale one. Compaction would keep that and drop the good one before it:
        the owner has to write them again."""

    def take(self, offset: int, record: Claim | Write) -> Folded:
        """Fold the record at this offset; offsets only grow."""
        assert offset >= self.position, f"offset {offset} was folded before, the next is {self.position}"
        self.position = offset + 1
        if isinstance(record, Claim):
            self.claim = offset
            return Folded.CLAIMED
        if record.epoch < self.claim:
            self.overwritten.add(record.key)
            return Folded.STALE
        self.overwritten.discard(record.key)
        for source, reached in record.sources:
            known = self.sources.get(source)
            if known is None or reached >= known.offset:
                self.sources[source] = Reached(reached, record.key)
        if record.key != MARK_KEY:
            self.changes[record.key] = record.value
        return Folded.APPLIED

    def skip_to(self, offset: int) -> None:
        """Nothing that can be folded lies before this offset."""
        self.position = max(self.position, offset)

    def take_changes(self) -> dict[bytes, bytes | None]:
        """The entries changed since the last call."""
        changes, self.changes = self.changes, {}
        return changes
