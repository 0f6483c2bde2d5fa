"""Moments as people write and read them: `10m`, `2026-12-24T18:00:00+01:00`, epoch milliseconds."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

_DURATION = re.compile(r"([0-9]+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = 40
LAST_MS = 253_402_300_799_999
"""The end of the year 9999, epoch milliseconds: what lies beyond cannot be shown as a date."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOW = "write a time from now (30s, 10m, 2h), ISO 8601 with a time zone, or epoch milliseconds"


def moment(text: str) -> datetime | timedelta | int:
    """What the words mean; a timedelta counts from now.

    Raises:
        ValueError: they are no moment, have no time zone, or lie thousands of years ahead. The text says how to write
            one.
    """
    meant = _meant(text)
    match meant:
        case timedelta():
            ends = meant.total_seconds() + time.time()
        case datetime():
            ends = meant.timestamp()
        case _:
            ends = meant / 1000
    if ends * 1000 > LAST_MS:
        raise ValueError(f"`{text}` is too far away: {HOW}")
    return meant


def moment_words(at_ms: int) -> str:
    """`2026-11-24T17:00:00.000Z`; as a number what no calendar holds."""
    if not 0 <= at_ms <= LAST_MS:
        return str(at_ms)
    at = _EPOCH + timedelta(milliseconds=at_ms)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def epoch_ms(meant: datetime | timedelta | int, now_ms: int) -> int:
    """What `moment` read, as epoch milliseconds, rounded down."""
    match meant:
        case timedelta():
            return now_ms + meant // timedelta(milliseconds=1)
        case datetime():
            return (meant - _EPOCH) // timedelta(milliseconds=1)
        case _:
            return meant


def _meant(text: str) -> datetime | timedelta | int:
    if len(text) > _LONGEST:  # and no number too long for arithmetic
        raise ValueError(f"`{text[:_LONGEST]}…` is no moment: {HOW}")
    duration = _DURATION.fullmatch(text)
    if duration is not None:
        try:
            return timedelta(**{_UNITS[duration[2]]: int(duration[1])})
        except OverflowError:
            raise ValueError(f"`{text}` is too far away: {HOW}") from None
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"`{text}` is no moment: {HOW}") from None
    if parsed.tzinfo is None:
        raise ValueError(f"`{text}` has no time zone: {HOW}")
    return parsed
