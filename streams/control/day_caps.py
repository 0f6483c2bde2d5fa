"""What a carrier takes of a brand a day, as it stands on `comms.control`: how much of it is used up, and that Twilio
said it is. Pure.

T-Mobile's limit of a brand holds from one 00:00 Pacific time to the next, for all providers together.
"""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

from schemas.records import Control, ControlAction, ControlSubject, Stage

from .switches import Aspect, control_key
from .trouble import trouble

_PACIFIC = ZoneInfo("America/Los_Angeles")

Capped = tuple[str, str]
"""(budget, carrier)."""


def day_start_ms(at_ms: int) -> int:
    """The last 00:00 Pacific time before a moment, or at it; epoch milliseconds UTC."""
    day = datetime.fromtimestamp(at_ms / 1000, _PACIFIC).date()
    return _midnight_ms(datetime.combine(day, time.min))


def day_end_ms(at_ms: int) -> int:
    """The next 00:00 Pacific time after a moment, epoch milliseconds UTC; 23 to 25 hours after the last one."""
    day = datetime.fromtimestamp(at_ms / 1000, _PACIFIC).date()
    return _midnight_ms(datetime.combine(day + timedelta(days=1), time.min))


def _midnight_ms(local: datetime) -> int:
    return int(local.replace(tzinfo=_PACIFIC).astimezone(UTC).timestamp() * 1000)


def subject_of(capped: Capped) -> str:
    """How records name it: no name of a budget or carrier holds an @."""
    return "@".join(capped)


def day_cap_reached(capped: Capped, *, code: int, why: str, fix: str, at: int) -> Control:
    """The record that Twilio said it is used up, for the rest of the day."""
    return trouble(
        ControlSubject.BUDGET,
        subject_of(capped),
        code=code,
        why=why,
        fix=fix,
        by=Stage.FEEDBACK,
        at=at,
        until=day_end_ms(at),
    )


def day_count(capped: Capped, *, used: int, partition: int, position: int, until: int, at: int) -> Control:
    """The record of how much is used up.

    Args:
        used: segments.
        partition, position: of comms.attempts; what lies there at this position and above is not counted.
        until: the end of the day that it counts for.
    """
    return Control(
        subject_kind=ControlSubject.BUDGET,
        subject=subject_of(capped),
        action=ControlAction.COUNT,
        used=used,
        from_partition=partition,
        position=position,
        by=Stage.DISPATCH.value,
        at=at,
        until=until,
    )


def day_count_key(capped: Capped) -> bytes:
    """Key of such a record."""
    return control_key(ControlSubject.BUDGET, subject_of(capped), Aspect.COUNT)
