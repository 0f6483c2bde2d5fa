"""The section about quiet hours: when messages may go, by place."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from streams.policy.quiet import hours
from streams.policy.quiet import law as laws
from streams.policy.quiet.hours import Weekday

from .fields import Flag, Section


def _clock(value: str) -> str:
    try:
        hours.clock(value)
    except ValueError:
        fix = 'write HH:MM from 00:00 to 24:00 in quotes, for example "08:00".'
        raise PydanticCustomError("clock", "no time of day: {value}", {"value": value, "fix": fix}) from None
    return value


def _day(value: str) -> str:
    try:
        return hours.closed_day(value)
    except ValueError:
        fix = 'write "MM-DD", or "YYYY-MM-DD" for one year, in quotes.'
        raise PydanticCustomError("day", "no day: {value}", {"value": value, "fix": fix}) from None


Clock = Annotated[str, AfterValidator(_clock)]
Day = Annotated[str, AfterValidator(_day)]


class Opening(Section):
    """A stretch of the day at which messages may go, by the recipient's clock."""

    start: Clock = Field(alias="from", description="First minute, `HH:MM`.")
    until: Clock = Field(description="First minute that is quiet again, `HH:MM`, at most 24:00.")
    days: tuple[Weekday, ...] = Field(default=(), description="Days it holds on; every day when absent.")

    @model_validator(mode="after")
    def _in_order(self) -> Opening:
        if hours.clock(self.until) <= hours.clock(self.start):
            fix = "over midnight, write two openings: one until 24:00, one from 00:00."
            raise PydanticCustomError("opening", "`until` does not come after `from`", {"fix": fix})
        return self


class Hours(Section):
    """Open hours of a place."""

    open: tuple[Opening, ...] = Field(min_length=1, description="When messages may go.")
    closed_on: tuple[Day, ...] = Field(
        default=(), description="Days without open hours: `MM-DD` of every year, or `YYYY-MM-DD`."
    )

    def resolved(self) -> hours.Hours:
        """As policy takes them."""
        openings = (
            hours.Opening.parse(each.start, each.until, each.days or tuple(hours.WEEKDAYS)) for each in self.open
        )
        return hours.Hours(tuple(openings), frozenset(self.closed_on))


class QuietHours(Section):
    """When messages may go, at the place of the recipient. Outside of these hours they wait."""

    law: Flag = Field(default=True, description="Start from the packaged law; entries below replace single places.")
    everywhere: Hours | None = Field(default=None, description="Hours of the brand, beside those of the place.")
    countries: dict[str, Hours] = Field(default={}, description="Hours by ISO 3166 alpha-2 country.")
    us_states: dict[str, Hours] = Field(default={}, description="Hours by state, two letters; beside the country's.")
    anywhere: Hours | None = Field(
        default=None,
        description="Hours for people whose place nobody knows (satellite numbers), held on every clock of the world. "
        "Without them such messages are denied.",
    )

    def resolved(self) -> laws.QuietHours:
        """As policy takes them."""
        own = laws.QuietHours(
            everywhere=None if self.everywhere is None else self.everywhere.resolved(),
            countries={name: each.resolved() for name, each in self.countries.items()},
            us_states={name: each.resolved() for name, each in self.us_states.items()},
            anywhere=None if self.anywhere is None else self.anywhere.resolved(),
        )
        return own.over(laws.packaged()) if self.law else own
