"""How much of what a carrier takes of a brand a day is used up: a fold of the attempts log. Pure.

An INTENT counts from when it is written; a RESULT that says nothing was sent gives it back. Attempts in doubt count. So
a successor that folds the same records knows the same number, and more is sent than the carrier takes by nothing but
what others send in the brand's name.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping

from schemas.records import Attempt, AttemptKind, AttemptOutcome, Control, Dispatch, MessageClass
from streams.control.day_caps import Capped, day_count, day_end_ms, day_start_ms
from streams.control.days import Days, DayState

from .lanes import DayCap, LaneTable

TOLD_EVERY = 2_000
"""So many records after the last one that was told, a count is told again, changed or not: a successor reads the log
from there."""
_SENT = frozenset({AttemptOutcome.ACCEPTED, AttemptOutcome.IN_DOUBT})
_Attempt = tuple[str, int, int]


class _Count:
    __slots__ = ("cap", "end_ms", "open", "told", "unacknowledged", "used")

    def __init__(self, cap: DayCap) -> None:
        self.cap = cap
        self.used = 0
        self.end_ms = 0
        self.open: dict[_Attempt, int] = {}
        self.unacknowledged: dict[_Attempt, int] = {}
        self.told: tuple[int, int] | None = None

    def begin(self, at_ms: int) -> None:
        if at_ms >= self.end_ms:
            self.end_ms = day_end_ms(at_ms)
            self.used = 0
            self.open.clear()
            self.unacknowledged.clear()


class DayCaps:
    """All methods belong to one event loop; while a log is restored, to the thread that reads it."""

    def __init__(self, table: LaneTable) -> None:
        self._table = table
        self._counts = {
            (budget.name, carrier): _Count(cap)
            for budget in table.budgets.values()
            for carrier, cap in budget.day_caps.items()
        }
        self._said = Days()

    # -- what is known

    def waits_until(self, order: Dispatch, segments: int, now_ms: int) -> int | None:
        """Until when a message must wait for another day of its carrier's, epoch milliseconds UTC; None: it need not.
        What is kept for urgent messages holds all but the critical class back."""
        capped = self._capped(order.lane, order.carrier)
        if capped is None:
            return None
        said = self._said.ended(capped, now_ms)
        if said is not None:
            return said.until
        count = self._counts.get(capped)
        if count is None:
            return None
        count.begin(now_ms)
        kept = 0 if order.message_class is MessageClass.CRITICAL else count.cap.kept_for_critical
        used = self._said.left_of(count.used, capped, now_ms)
        return count.end_ms if used + segments + kept > count.cap.segments else None

    def states(self, now_ms: int, served: Container[int] | None = None) -> dict[Capped, DayState]:
        """Everything that is counted, on these partitions of the log where some are named: who does not serve them
        does not know what is used up."""
        found: dict[Capped, DayState] = {}
        for capped, count in self._counts.items():
            if served is not None and not any(partition in served for partition in self._partitions(capped[0])):
                continue
            count.begin(now_ms)
            cap = count.cap
            found[capped] = self._said.state(
                capped, count.used, now_ms, per_day=cap.segments, kept_for_critical=cap.kept_for_critical
            )
        return found

    # -- what happens

    def add(self, record: Attempt) -> None:
        """A record is written to the attempts log."""
        count = self._count_of(record)
        if count is not None:
            _fold(count, record)
            key = _key(record)
            if key in count.open:
                count.unacknowledged[key] = record.segments
            elif record.outcome not in _SENT:
                count.unacknowledged.pop(key, None)

    def acknowledged(self, record: Attempt) -> None:
        """What was added lies in the log, below the end that `to_tell` is given from now on."""
        count = self._count_of(record)
        if count is not None:
            count.unacknowledged.pop(_key(record), None)

    def take(self, key: bytes, record: Control | None) -> bool:
        """A record of comms.control; None: a tombstone. Whether it was one about a day of a carrier's."""
        return self._said.take(key, record)

    def restored_from(self, partition: int, now_ms: int) -> tuple[int | None, int] | None:
        """From where the log of a partition must be read to count on: a position, or, where a count was never told, a
        time; None when nothing there is counted. Forgets what was counted."""
        positions: list[int] = []
        counted = [capped for capped in self._counts if partition in self._partitions(capped[0])]
        for capped in counted:
            self._counts[capped] = count = _Count(self._counts[capped].cap)
            told = self._said.told(capped)
            if told is None or told.position is None:
                continue
            count.used, count.end_ms = told.used or 0, told.until or 0
            if told.from_partition == partition:  # else its groups were moved by hand: here nothing is in it
                count.told = (count.used, told.position)
                positions.append(told.position)
        if not counted:
            return None
        return min(positions) if len(positions) == len(counted) else None, day_start_ms(now_ms)

    def read(self, record: Attempt, position: int) -> None:
        """A record that is read back. What a count was told with is in it already."""
        count = self._count_of(record)
        if count is not None and (count.told is None or position >= count.told[1]):
            _fold(count, record)

    def to_tell(self, ends: Mapping[int, int], now_ms: int) -> Iterator[tuple[Capped, Control]]:
        """Records that a successor needs, of the partitions whose acknowledged end is given."""
        for capped, count in self._counts.items():
            partition = next((each for each in self._partitions(capped[0]) if each in ends), None)
            if partition is None:
                continue
            count.begin(now_ms)
            # Without what a successor finds beyond the end that is told with it, and counts itself.
            state = (count.used - sum(count.unacknowledged.values()), ends[partition])
            told = count.told
            if told is None or told[0] != state[0] or state[1] - told[1] >= TOLD_EVERY:
                count.told = state
                yield (
                    capped,
                    day_count(
                        capped, used=state[0], partition=partition, position=state[1], until=count.end_ms, at=now_ms
                    ),
                )

    def _count_of(self, record: Attempt) -> _Count | None:
        capped = self._capped(record.lane, record.carrier)
        return None if capped is None else self._counts.get(capped)

    def _capped(self, lane: str, carrier: str | None) -> Capped | None:
        known = None if carrier is None else self._table.lanes.get(lane)
        budget = None if known is None else self._table.groups[known.group].budget
        return None if budget is None or carrier is None else (budget, carrier)

    def _partitions(self, budget: str) -> set[int]:
        return {group.partition for group in self._table.sharing(budget)}


def _fold(count: _Count, record: Attempt) -> None:
    key = _key(record)
    if record.kind is AttemptKind.INTENT:
        if count.end_ms and record.at < day_start_ms(count.end_ms - 1):
            return
        count.begin(record.at)
        if key not in count.open:
            count.open[key] = record.segments
            count.used += record.segments
    else:
        segments = count.open.pop(key, 0)
        if record.outcome not in _SENT:
            count.used -= segments


def _key(record: Attempt) -> _Attempt:
    return record.message_id, record.round, record.attempt
