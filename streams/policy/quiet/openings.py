"""From local hours to moments: when all of several places are open at once, through every change of their clocks.

A clock that is put back shows some minutes twice, both times open or both times closed; one that is put forward leaves
some out. Both follow from one rule: a moment is open where the clock on the wall then shows an open minute.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from .hours import DAY_S, Hours, merged

_EPOCH = date(1970, 1, 1)
_PROBE_S = 6 * 3600
"""No zone changes its clock twice within six hours (the test goes through all of them)."""


class Local(NamedTuple):
    """Hours and the clock they go by."""

    zone: str
    hours: Hours


def opens_at(places: frozenset[Local], moment_ms: int, until_ms: int) -> int | None:
    """The first moment from `moment_ms` on and before `until_ms` at which all places are open; epoch milliseconds UTC.
    None when there is none."""
    for day in range(moment_ms // 1000 // DAY_S, until_ms // 1000 // DAY_S + 1):
        for start, end in _open_on(places, day):
            if end * 1000 > moment_ms:
                found = max(start * 1000, moment_ms)
                return found if found < until_ms else None
    return None


def closes_at(places: frozenset[Local], moment_ms: int, until_ms: int) -> int | None:
    """The first moment after an open `moment_ms` and up to `until_ms` at which some place is closed; epoch milliseconds
    UTC. None when all stay open so long."""
    end_s = moment_ms // 1000
    for day in range(end_s // DAY_S, until_ms // 1000 // DAY_S + 1):
        end_s = next((end for start, end in _open_on(places, day) if start <= end_s < end), end_s)
        if end_s < (day + 1) * DAY_S:
            break
    return end_s * 1000 if end_s * 1000 <= until_ms else None


@lru_cache(maxsize=20_000)
def _open_on(places: frozenset[Local], day: int) -> tuple[tuple[int, int], ...]:
    """Stretches of a UTC day (counted from 1970-01-01) when all places are open, epoch seconds."""
    common = [(day * DAY_S, (day + 1) * DAY_S)]
    for place in places:
        ours = _open_at(place, day)
        common = [
            (max(start, other), min(end, other_end))
            for start, end in common
            for other, other_end in ours
            if max(start, other) < min(end, other_end)
        ]
    return tuple(common)


@lru_cache(maxsize=20_000)
def _open_at(place: Local, day: int) -> tuple[tuple[int, int], ...]:
    found: list[tuple[int, int]] = []
    for start, end, offset in _pieces(place.zone, day):
        for local_day in range((start + offset) // DAY_S, (end - 1 + offset) // DAY_S + 1):
            midnight = local_day * DAY_S - offset
            for opens, closes in place.hours.on(_EPOCH + timedelta(days=local_day)):
                if max(start, midnight + opens) < min(end, midnight + closes):
                    found.append((max(start, midnight + opens), min(end, midnight + closes)))
    return tuple(merged(found))


@lru_cache(maxsize=20_000)
def _pieces(zone: str, day: int) -> tuple[tuple[int, int, int], ...]:
    """A UTC day cut where the zone changes its clock: start, end and seconds that the clock is ahead of UTC."""
    info = ZoneInfo(zone)
    cuts = [day * DAY_S]
    for probe in range(day * DAY_S, (day + 1) * DAY_S, _PROBE_S):
        low, high = probe, probe + _PROBE_S
        if (before := _offset(info, low)) != _offset(info, high):
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if _offset(info, middle) == before else (low, middle)
            cuts.append(high)
    ends = [*cuts[1:], (day + 1) * DAY_S]
    return tuple((start, end, _offset(info, start)) for start, end in zip(cuts, ends, strict=True) if start < end)


def _offset(zone: ZoneInfo, moment_s: int) -> int:
    offset = datetime.fromtimestamp(moment_s, UTC).astimezone(zone).utcoffset()
    assert offset is not None  # a ZoneInfo always knows
    return int(offset.total_seconds())
