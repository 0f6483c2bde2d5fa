"""From where the attempts log must be read after a crash: the note committed with each offset. Pure.

Reading from the note of a committed offset `o` finds the INTENT of every record at or above `o`:

    note(o) = lowest attempts position of any INTENT for an offset >= o, else the acknowledged end of the log, rounded
              down: a lower note is as good, and one that stays the same need not be committed again

Positions are forgotten only below what the broker has confirmed as committed: a commit under way may yet fail.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from connectors.kafka.topic_partition import TP

_FORMAT = "a1:"
"""First characters of the note, so that another format can follow."""

ROUNDED = 200
"""A note of the log's end is a multiple of this. Every POST moves the end, for all four classes of its partition, and a
commit of what moved costs 20 us for each of them; fewer records than this take 4 ms to read again."""


class IntentPositions:
    """Positions of all assigned partitions."""

    def __init__(self) -> None:
        self._of_offset: dict[TP, dict[int, int]] = {}
        self._acked_end: dict[int, int] = {}
        self._elsewhere: dict[TP, str] = {}

    def begin(self, ends: Mapping[int, int], elsewhere: Mapping[TP, str]) -> None:
        """A new assignment, whose attempts partitions were read up to these ends. The notes of partitions that another
        worker serves are passed on as they are."""
        self._of_offset = {}
        self._acked_end = dict(ends)
        self._elsewhere = dict(elsewhere)

    def acked(self, partition: int, position: int) -> None:
        """A record of ours was acknowledged at this position. Acknowledgements of one partition come in order. Late
        ones, of a partition that is another's by now, change nothing."""
        known = self._acked_end.get(partition)
        if known is not None:
            self._acked_end[partition] = max(known, position + 1)

    @property
    def ends(self) -> Mapping[int, int]:
        """How far each partition of the log was read, or acknowledged since."""
        return self._acked_end

    def note(self, tp: TP, offset: int, position: int) -> None:
        """An INTENT for the record at this offset lies at this position; the lowest one counts."""
        known = self._of_offset.setdefault(tp, {})
        if position < known.get(offset, position + 1):
            known[offset] = position

    def of(self, tp: TP, offset: int) -> int | None:
        """Lowest position noted for one record."""
        return self._of_offset.get(tp, {}).get(offset)

    def committed(self, tp: TP, offset: int) -> None:
        """The broker confirmed this offset: nothing below it comes again."""
        known = self._of_offset.get(tp)
        if known:
            for done in [each for each in known if each < offset]:
                del known[done]

    def metadata(self, tp: TP, offset: int) -> str:
        """The note to commit with this offset."""
        if tp in self._elsewhere:
            return self._elsewhere[tp]
        known = self._of_offset.get(tp)
        at_or_above = [position for noted, position in known.items() if noted >= offset] if known else None
        if at_or_above:
            return f"{_FORMAT}{min(at_or_above)}"
        end = self._acked_end.get(tp.partition, 0)
        return f"{_FORMAT}{end - end % ROUNDED}"


def position_of(metadata: str) -> int | None:
    """The position in a committed note; None where it holds none."""
    if not metadata.startswith(_FORMAT):
        return None
    digits = metadata[len(_FORMAT) :]
    return int(digits) if digits.isascii() and digits.isdecimal() else None


def replay_start(notes: Iterable[str | None]) -> int | None:
    """Where to read an attempts partition from, by the notes of its class partitions (None: nothing was committed).
    None for the beginning of the log: one class without a note may have INTENTs anywhere."""
    lowest: int | None = None
    for note in notes:
        position = position_of(note) if note is not None else None
        if position is None:
            return None
        lowest = position if lowest is None else min(lowest, position)
    return lowest
