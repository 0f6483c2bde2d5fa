"""What is said of days at carriers on `comms.control`: by Twilio that one is over, by an operator that it is open
again, by dispatch how much of it is used up. Pure.

Each of them has a key of its own, so that a compacted log keeps all three. Of Twilio and the operator the one holds who
spoke last, by the time of what they saw, however late it was written.
"""

from __future__ import annotations

from dataclasses import dataclass

from schemas.records import Control, ControlAction, ControlSubject

from .day_caps import Capped, day_end_ms, subject_of
from .switches import Aspect, control_key

_KEYS = f"{ControlSubject.BUDGET.value}:"
_REOPENED = Aspect.DAY.value.encode()


@dataclass(frozen=True, slots=True)
class DayState:
    """What a carrier takes of a brand today.

    Attributes:
        used: segments used up; after an operator has opened the day again, those since then.
        per_day, kept_for_critical: as configured; None: nothing is counted, and Twilio alone ends the day.
        waits_until: all but what is critical waits until then, epoch milliseconds UTC; None: it need not.
        said_by_twilio: Twilio has said that it is used up: then critical messages wait, too.
        reopened_at: when an operator has opened the day again, epoch milliseconds UTC; None where nobody has.
    """

    used: int
    per_day: int | None
    kept_for_critical: int
    waits_until: int | None
    said_by_twilio: bool
    reopened_at: int | None


class Days:
    """A fold of `comms.control`; a record of a key replaces the one before it."""

    def __init__(self) -> None:
        self._counts: dict[Capped, Control] = {}
        self._ended: dict[Capped, Control] = {}
        self._reopened: dict[Capped, Control] = {}
        self._by_aspect = {
            Aspect.COUNT.value: self._counts,
            Aspect.TROUBLE.value: self._ended,
            Aspect.DAY.value: self._reopened,
        }

    def take(self, key: bytes, record: Control | None) -> bool:
        """Take a record in; None: a tombstone. Whether it was one about a day."""
        text = key.decode("utf-8", "replace")
        if not text.startswith(_KEYS):
            return False
        subject, _, aspect = text.removeprefix(_KEYS).rpartition(":")
        budget, at, carrier = subject.partition("@")
        records = self._by_aspect.get(f":{aspect}")
        if records is None or not at:
            return False
        if record is None or (record.action is ControlAction.CLEAR and records is not self._reopened):
            records.pop((budget, carrier), None)
        else:
            records[budget, carrier] = record
        return True

    def told(self, capped: Capped) -> Control | None:
        """The last count that dispatch told, of whatever day."""
        return self._counts.get(capped)

    def counted(self, capped: Capped, now_ms: int) -> int:
        """Segments that dispatch has counted today, as it told."""
        count = self._counts.get(capped)
        return 0 if count is None or _over(count, now_ms) else count.used or 0

    def ended(self, capped: Capped, now_ms: int) -> Control | None:
        """What Twilio said that holds the carrier's messages now."""
        said, opened = self._ended.get(capped), self._reopened.get(capped)
        if said is None or _over(said, now_ms) or (opened is not None and said.at <= opened.at):
            return None
        return said

    def reopened(self, capped: Capped, now_ms: int) -> Control | None:
        """An operator's word that the day is open again."""
        record = self._reopened.get(capped)
        return None if record is None or _over(record, now_ms) else record

    def left_of(self, used: int, capped: Capped, now_ms: int) -> int:
        """How many of the segments that dispatch has counted today an operator lets count."""
        opened = self.reopened(capped, now_ms)
        return used if opened is None else max(0, used - (opened.used or 0))

    def state(
        self, capped: Capped, used: int, now_ms: int, *, per_day: int | None, kept_for_critical: int = 0
    ) -> DayState:
        """All of it, where so many segments are counted."""
        left, said, opened = (
            self.left_of(used, capped, now_ms),
            self.ended(capped, now_ms),
            self.reopened(capped, now_ms),
        )
        full = said is not None or (per_day is not None and left + kept_for_critical >= per_day)
        return DayState(
            left,
            per_day,
            kept_for_critical,
            day_end_ms(now_ms) if full else None,
            said is not None,
            None if opened is None else opened.at,
        )

    def named(self, now_ms: int) -> set[Capped]:
        """Days of which somebody has said something that holds today."""
        return {
            capped
            for records in (self._counts, self._ended, self._reopened)
            for capped, record in records.items()
            if not _over(record, now_ms)
        }

    def reopening(self, capped: Capped, *, used: int, by: str, reason: str | None, at: int) -> tuple[bytes, Control]:
        """Key and record that open a day again: what Twilio has said until then holds nobody any more, and of what
        dispatch has told, all but `used` segments do not count."""
        said = self._ended.get(capped)
        if said is not None:
            at = max(at, said.at)  # the operator's clock may be behind
        record = Control(
            subject_kind=ControlSubject.BUDGET,
            subject=subject_of(capped),
            action=ControlAction.CLEAR,
            used=self.counted(capped, at) - used,
            reason=reason,
            by=by,
            at=at,
            until=day_end_ms(at),
        )
        return control_key(ControlSubject.BUDGET, subject_of(capped), Aspect.DAY), record


def is_reopening(key: bytes) -> bool:
    """Whether a record of this key opens a day again."""
    return key.endswith(_REOPENED)


def _over(record: Control, now_ms: int) -> bool:
    return record.until is not None and record.until <= now_ms
