"""Hours of a week at which messages may go, in local time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

DAY_S = 86_400
_CLOCK = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])|24:00")
_CLOSED_DAY = re.compile(r"(?:(\d{4})-)?(\d{2})-(\d{2})")
_LEAP_YEAR = 2024  # has every day that a year can have


class Weekday(StrEnum):
    """Days of the week, Monday first as in `date.weekday()`."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


WEEKDAYS = tuple(Weekday)


@dataclass(frozen=True, slots=True)
class Opening:
    """One stretch of the day.

    Attributes:
        start_s, end_s: seconds of the local clock since midnight; `end_s` is closed again and at most 86,400.
        days: days on which it holds.
    """

    start_s: int
    end_s: int
    days: frozenset[Weekday] = frozenset(WEEKDAYS)

    @classmethod
    def parse(cls, start: str, end: str, days: Iterable[Weekday | str] = WEEKDAYS) -> Opening:
        """The opening from `HH:MM` until `HH:MM` (until may be 24:00).

        Raises:
            ValueError: no such times, or the end does not come after the start; the text says how to mend it.
        """
        start_s, end_s = clock(start), clock(end)
        if end_s <= start_s:
            raise ValueError(f"`until` {end} does not come after `from` {start}; over midnight, write two openings")
        return cls(start_s, end_s, frozenset(Weekday(day) for day in days))


@dataclass(frozen=True, slots=True)
class Hours:
    """When a place is open.

    Attributes:
        openings: in any order; they may overlap.
        closed_on: days without any opening, `MM-DD` for every year or `YYYY-MM-DD` for one.
    """

    openings: tuple[Opening, ...]
    closed_on: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        if not any(opening.days for opening in self.openings):
            raise ValueError("hours without any opening would send nothing at all; switch the category off instead")
        for day in self.closed_on:
            closed_day(day)

    def on(self, day: date) -> list[tuple[int, int]]:
        """Openings of a local day in seconds of its clock, in order, not overlapping."""
        text = day.isoformat()
        if text in self.closed_on or text[5:] in self.closed_on:
            return []
        weekday = WEEKDAYS[day.weekday()]
        return merged((each.start_s, each.end_s) for each in self.openings if weekday in each.days)


def clock(text: str) -> int:
    """Seconds since midnight of `HH:MM`.

    Raises:
        ValueError: it is no time of day.
    """
    if _CLOCK.fullmatch(text) is None:
        raise ValueError(f"{text!r} is no time of day; write HH:MM from 00:00 to 24:00, in quotes")
    hours, minutes = text.split(":")
    return int(hours) * 3600 + int(minutes) * 60


def closed_day(text: str) -> str:
    """The text, when it names a day.

    Raises:
        ValueError: it names none.
    """
    match = _CLOSED_DAY.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        date(int(match[1] or _LEAP_YEAR), int(match[2]), int(match[3]))
    except ValueError:
        raise ValueError(f"{text!r} is no day; write MM-DD, or YYYY-MM-DD for one year, in quotes") from None
    return text


def merged(intervals: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same stretches in order, joined where they touch or overlap."""
    joined: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined
