"""Which records a put becomes. Pure.

A source position must survive compaction, which keeps one record per key. So it is on a record with a value, the last
of its put, and when that record is overwritten, the new one repeats it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .envelope import MARK_KEY, RESERVED, Source, Write
from .fold import Reached


class Writer:
    """What this owner has handed to the log, in that order; ahead of the fold by what is under way.

    Args:
        epoch: offset of our CLAIM.
        sources: what was restored.
    """

    def __init__(self, epoch: int, sources: Mapping[Source, Reached]) -> None:
        self.epoch = epoch
        self._sources = dict(sources)

    def records(self, entries: Mapping[bytes, bytes | None], source: tuple[Source, int] | None) -> list[Write]:
        """The records of one put, in the order to be written. The source counts from the last one on, so a put that a
        crash cut short is done again.

        Raises:
            ValueError: a key that is empty or begins with a zero byte.
        """
        for key in entries:
            if not key or key.startswith(RESERVED):
                raise ValueError(f"key {key!r} of a state entry must not be empty or begin with a zero byte")
        if len(entries) == 1 and source is None and not self._sources:  # as policy writes: nothing to carry along
            return [Write(self.epoch, key, value) for key, value in entries.items()]
        deletions = [key for key, value in entries.items() if value is None]
        values = [key for key, value in entries.items() if value is not None]
        records = []
        orphans = [found for key in deletions for found in self._carried(key)]
        if orphans:  # before the deletions: a crash between the two would lose their positions
            records.append(self._record(MARK_KEY, b"", orphans))
        records += [Write(self.epoch, key, None) for key in deletions]
        records += [self._record(key, entries[key], ()) for key in values[:-1]]
        own = () if source is None else ((source[0], self._highest(*source)),)
        if values:
            records.append(self._record(values[-1], entries[values[-1]], own))
        elif own:
            records.append(self._record(MARK_KEY, b"", own))
        return records

    def mark(self) -> Write:
        """A record that says nothing but that we are there."""
        return self._record(MARK_KEY, b"", ())

    def _record(self, key: bytes, value: bytes | None, more: Sequence[tuple[Source, int]]) -> Write:
        sources = dict(self._carried(key)) | dict(more)
        for place, offset in sources.items():
            self._sources[place] = Reached(offset, key)
        return Write(self.epoch, key, value, tuple(sources.items()))

    def _carried(self, key: bytes) -> list[tuple[Source, int]]:
        return [(place, reached.offset) for place, reached in self._sources.items() if reached.carrier == key]

    def _highest(self, place: Source, offset: int) -> int:
        known = self._sources.get(place)
        return offset if known is None else max(offset, known.offset)
