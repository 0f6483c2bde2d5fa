"""Which records were handed out and which of them are finished, hence what may be committed.

Only offsets that were *delivered* count. What the log skips (compaction, transaction markers) is never asked about, so
holes need no arithmetic: the offset to commit is that of the first record delivered and not yet finished.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping

from .topic_partition import TP

NO_GENERATION = 0
"""The generation of a ledger that has not begun; real ones are higher."""


class PartitionLedger:
    """Offsets of one partition, in the order of their delivery. Every operation but `stretches_ahead` takes constant
    time on average.

    Args:
        start: where reading begins.
        finished: stretches of offsets, in order, that an earlier owner has finished; they come again nevertheless.
    """

    __slots__ = ("_delivered", "_known", "_next", "_unfinished")

    def __init__(self, start: int, finished: Iterable[range] = ()) -> None:
        self._next = start
        self._delivered: deque[int] = deque()  # from the first unfinished one on
        self._unfinished: set[int] = set()
        self._known = deque(finished)  # those that are not behind us

    def deliver(self, offset: int) -> bool:
        """Take down that the record at `offset` came. False if it was finished by an earlier owner: it is not to be
        handed out.

        Raises:
            ValueError: not above what was delivered before: a log only grows, so it is another log by now.
        """
        if offset < self._next:
            raise ValueError(f"offset {offset} comes after {self._next - 1} was delivered")
        self._next = offset + 1
        known = self._known
        while known and known[0].stop <= offset:
            known.popleft()
        if known and offset in known[0]:
            if self._delivered:
                self._delivered.append(offset)
            return False
        self._delivered.append(offset)
        self._unfinished.add(offset)
        return True

    def finish(self, offset: int) -> bool:
        """Take down that the record needs no further work. False, without effect, if it is not outstanding."""
        if offset not in self._unfinished:
            return False
        self._unfinished.remove(offset)
        while self._delivered and self._delivered[0] not in self._unfinished:
            self._delivered.popleft()
        return True

    def committable(self) -> int:
        """The offset to commit: every record below it that was delivered is finished."""
        return self._delivered[0] if self._delivered else self._next

    def outstanding(self) -> int:
        """How many delivered records are not finished."""
        return len(self._unfinished)

    def held(self) -> int:
        """How many delivered records lie at or above the committable offset: a crash now delivers so many again."""
        return len(self._delivered)

    def finished_ahead(self) -> int:
        """How many offsets beyond the committable one are known to be finished; roughly where the log has holes."""
        return len(self._delivered) - len(self._unfinished) + sum(len(each) for each in self._known_ahead())

    def stretches_ahead(self) -> Iterator[range]:
        """Those offsets, in order. Takes time by the number of unfinished records."""
        at = self.committable()
        for offset in sorted(self._unfinished):
            if offset > at:
                yield range(at, offset)
            at = offset + 1
        known = self._known_ahead()
        first = next(known, None)
        if first is not None and first.start == self._next:
            yield range(at, first.stop)
        else:
            if self._next > at:
                yield range(at, self._next)
            if first is not None:
                yield first
        yield from known

    def _known_ahead(self) -> Iterator[range]:
        return (range(max(each.start, self._next), each.stop) for each in self._known if each.stop > self._next)


class Ledger:
    """The ledgers of all served partitions, for one generation of the assignment at a time.

    A record finished late, after its partition was given up, must not count for the generation that follows, where the
    same offset is delivered again: so whoever finishes names the generation in which the record was delivered.
    """

    def __init__(self) -> None:
        self._generation = NO_GENERATION
        self._partitions: dict[TP, PartitionLedger] = {}

    @property
    def generation(self) -> int:
        """The generation that records are delivered in, `NO_GENERATION` between two."""
        return self._generation

    @property
    def partitions(self) -> Mapping[TP, PartitionLedger]:
        """The partitions of this generation."""
        return self._partitions

    def begin(
        self, generation: int, starts: Mapping[TP, int], finished: Mapping[TP, Iterable[range]] | None = None
    ) -> None:
        """Begin a generation in which each partition is read from its offset in `starts`; `finished`: see
        `PartitionLedger`."""
        self._generation = generation
        finished = finished or {}
        self._partitions = {tp: PartitionLedger(start, finished.get(tp, ())) for tp, start in starts.items()}

    def end(self) -> None:
        """Forget everything; nothing is outstanding and every finish is ignored until the next `begin`."""
        self._generation = NO_GENERATION
        self._partitions = {}

    def deliver(self, tp: TP, offset: int) -> bool:
        """Take down a delivery in the present generation; as `PartitionLedger.deliver`.

        Raises:
            KeyError: the partition is not served.
            ValueError: as `PartitionLedger.deliver`.
        """
        return self._partitions[tp].deliver(offset)

    def finish(self, tp: TP, offset: int, generation: int) -> bool:
        """Take down a finish. False, without effect, for another generation or a record that is not outstanding."""
        if generation != self._generation:
            return False
        ledger = self._partitions.get(tp)
        return ledger is not None and ledger.finish(offset)

    def committable(self, tp: TP) -> int:
        """As `PartitionLedger.committable`; KeyError if the partition is not served."""
        return self._partitions[tp].committable()

    def outstanding(self, tp: TP) -> int:
        """Unfinished records of the partition; 0 if it is not served."""
        ledger = self._partitions.get(tp)
        return 0 if ledger is None else ledger.outstanding()
