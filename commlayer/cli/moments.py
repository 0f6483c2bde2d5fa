"""Options that take a moment."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import click

from commlayer.moments import epoch_ms, moment


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
        now_ms = time.time_ns() // 1_000_000
        return epoch_ms(-read if isinstance(read, timedelta) else read, now_ms)
