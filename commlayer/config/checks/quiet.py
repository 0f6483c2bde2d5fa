"""Quiet hours: is there a moment in the week for everybody who may be written to?"""

from __future__ import annotations

from collections.abc import Iterator

import phonenumbers

from commlayer.config.draft import Draft
from commlayer.config.problems import Problem, Severity
from commlayer.config.suggest import instead
from streams.policy.quiet.hours import DAY_S
from streams.policy.quiet.law import QuietHours, on_every_clock
from streams.policy.quiet.openings import opens_at
from streams.policy.quiet.places import USA, Place, american_places, area_codes, candidates

_YEAR_MS = 366 * DAY_S * 1000
_FORTNIGHT_MS = 14 * DAY_S * 1000  # all clocks of the world over a year would take seconds
_FROM_MS = 1_767_225_600_000  # 2026-01-01T00:00Z; any year does, hours repeat every week


def quiet(draft: Draft) -> Iterator[Problem]:
    """Unknown states, countries without hours, and places whose hours never come."""
    hours = draft.quiet_hours
    if hours is None:
        return
    for state in hours.us_states:
        if state not in area_codes():
            fix = instead(state, area_codes(), otherwise="write the two letters of a state.")
            yield Problem(("quiet_hours", "us_states", state), "no state of the USA.", fix)
    for country in hours.countries:
        if country not in phonenumbers.SUPPORTED_REGIONS:
            better = instead(country, draft.countries.allow if draft.countries else (), otherwise="write US or DE.")
            yield Problem(("quiet_hours", "countries", country), "no ISO 3166 alpha-2 country.", better)
    resolved = hours.resolved()
    yield from _no_hours(draft, resolved)
    if resolved.anywhere is not None:
        clocks = on_every_clock(resolved.anywhere)
        if opens_at(clocks, _FROM_MS, _FROM_MS + _FORTNIGHT_MS) is None:
            what = "no moment is open on every clock of the world; they lie up to 26 h apart."
            fix = "widen `open`, for example to the whole day on some days, or leave `anywhere` out to deny."
            yield Problem(("quiet_hours", "anywhere"), what, fix)
    for country in () if draft.countries is None else draft.countries.allow:
        places = resolved.at(_anywhere_in(country))
        if places and opens_at(places, _FROM_MS, _FROM_MS + _YEAR_MS) is None:
            what = f"where a number of {country} leaves its place open, no moment is open at all its places."
            path = ("quiet_hours", "countries", country) if country in hours.countries else ("quiet_hours",)
            yield Problem(path, what, "widen `open`, or take days from `closed_on`.")


def _no_hours(draft: Draft, hours: QuietHours) -> Iterator[Problem]:
    kept = any(category.keeps_quiet_hours for category in draft.categories.values())
    allowed = set() if draft.countries is None else set(draft.countries.allow)
    without = sorted(allowed - set(hours.countries))
    if kept and without and hours.everywhere is None:
        what = f"no hours are known for {', '.join(without)}: what keeps quiet hours goes there at any hour of the day."
        fix = f"add `countries.{without[0]}` or `everywhere` to `quiet_hours`, from 00:00 to 24:00 where that is meant."
        yield Problem(("countries", "allow"), what, fix, severity=Severity.WARNING)


def _anywhere_in(country: str) -> frozenset[Place]:
    if country == USA:
        return american_places()
    number = phonenumbers.example_number_for_type(country, phonenumbers.PhoneNumberType.MOBILE)
    if number is None:
        return frozenset()
    return candidates(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164), country, None)
