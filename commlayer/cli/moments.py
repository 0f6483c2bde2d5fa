"""Moments as people write them on a command line: `10m`, `2026-12-24T18:00:00+01:00`, epoch milliseconds."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import click

_DURATION = re.compile(r"([0-9]+)([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LONGEST = 40
_LAST = datetime(9999, 1, 1, tzinfo=UTC)
"""What lies beyond cannot be shown as a date, in no zone."""
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
    if ends >= _LAST.timestamp():
        raise ValueError(f"`{text}` is too far away: {HOW}")
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


class Moment(click.ParamType):
    """Click's view of `moment`."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The moment, or a usage error."""
        try:
            return moment(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Since(click.ParamType):
    """A moment in the past, as epoch milliseconds UTC; a duration counts back from now."""

    name = "moment"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The moment, or a usage error."""
        try:
            read = moment(value)
        except ValueError as error:
            self.fail(str(error).replace("from now", "back from now"), param, ctx)
        if isinstance(read, timedelta):
            return time.time_ns() // 1_000_000 - int(read.total_seconds() * 1000)
        return int(read.timestamp() * 1000) if isinstance(read, datetime) else read
