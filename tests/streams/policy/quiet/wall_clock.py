"""Quiet hours as a person would check them: look at the clock on the wall, minute by minute. Knows nothing of ours but
the plain lists of hours."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

MINUTE = 60
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

Week = dict[str, list[tuple[str, str]]]
"""Open from and until, by day of the week."""

BEGIN, END = datetime(2020, 1, 1, tzinfo=UTC), datetime(2036, 1, 1, tzinfo=UTC)


def open_on_the_wall(zone: ZoneInfo, week: Week, moment_s: int) -> bool:
    wall = datetime.fromtimestamp(moment_s, zone)
    shown = f"{wall.hour:02}:{wall.minute:02}"
    return any(start <= shown < end for start, end in week.get(DAYS[wall.weekday()], ()))


def transitions(zone: ZoneInfo) -> Iterator[int]:
    """Every moment from 2020 to 2035 at which the zone changes its clock, epoch seconds."""
    step = timedelta(hours=12)
    moment, before = BEGIN, BEGIN.astimezone(zone).utcoffset()
    while moment < END:
        after = (moment + step).astimezone(zone).utcoffset()
        if after != before:
            minute = moment
            while minute.astimezone(zone).utcoffset() == before:
                minute += timedelta(minutes=15)
            yield int(minute.timestamp())
        moment, before = moment + step, after
