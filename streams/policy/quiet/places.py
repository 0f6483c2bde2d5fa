"""Where a person may be: every country, state and time zone that fits what is known of them.

What customer data says comes first, then the number. The number is the weaker witness: a person keeps it when they
move. Where it leaves several places open, all of them are named, and the strictest counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from zoneinfo import ZoneInfo

import phonenumbers
import yaml
from phonenumbers import timezone as number_zones

from streams.policy.profile import Profile

USA = "US"
TERRITORIES = frozenset({"AS", "GU", "MP", "PR", "VI"})
"""Of the USA, with codes of states in postal addresses and of countries in ISO 3166 and numbering plans: to us they are
countries."""
_CLOCK_FROM, _CLOCK_UNTIL, _CLOCK_STEP_S = 1_767_225_600, 1_798_761_600, 6 * 3600
"""The year 2026: two zones that show the same time all through it are one clock, whatever they showed before."""
_NOBODY_KNOWS = number_zones.UNKNOWN_TIMEZONE
_NOTHING = Profile()


@dataclass(frozen=True, slots=True)
class Place:
    """A place with one law and one clock.

    Attributes:
        country: ISO 3166 alpha-2.
        state: two letters, in the USA only.
        zone: IANA name.
    """

    country: str
    state: str | None
    zone: str


def candidates(e164: str, country: str, profile: Profile | None) -> frozenset[Place]:
    """All places where the person with this number may be.

    Args:
        e164: a valid number.
        country: country of the number, ISO 3166 alpha-2.
        profile: what customer data says; its zone, state and country count where they are well-formed. A territory of
            the USA given as state is the country.

    Returns:
        at least one place; none only for a number of no country (satellite, +800) and a profile without zone.
    """
    known = profile or _NOTHING
    area_code = e164[2:5] if e164.startswith("+1") else ""
    of_number = () if country == USA else _zones_of(e164)
    return _candidates(area_code, of_number, country, known.country, known.time_zone, known.state)


@lru_cache(maxsize=20_000)  # people of one place are many; the same places also hash but once
def _candidates(
    area_code: str,
    of_number: tuple[str, ...],
    country: str,
    known_country: str | None,
    known_zone: str | None,
    known_state: str | None,
) -> frozenset[Place]:
    zone = known_zone if known_zone in zone_names() else None
    state = None if known_state is None else known_state.upper()
    if state in TERRITORIES and known_country in (None, USA):
        known_country = state
    if state not in area_codes():
        state = None
    found: set[Place] = set()
    if USA in (country, known_country):
        found |= {Place(USA, each.state, zone or each.zone) for each in _american(area_code, state, zone)}
    for each in {country, known_country or country} - {USA}:
        zones = (zone,) if zone is not None else (of_number if each == country else ()) or country_zones().get(each, ())
        found |= {Place(each, None, one) for one in zones}
    return frozenset(found)


@cache
def area_codes() -> Mapping[str, Mapping[str, frozenset[str]]]:
    """Area codes by state and by zone, data/us_area_codes.yaml."""
    data = yaml.safe_load(files(__package__).joinpath("data/us_area_codes.yaml").read_text(encoding="utf-8"))
    return {state: {zone: frozenset(codes) for zone, codes in zones.items()} for state, zones in data.items()}


@cache
def country_zones() -> Mapping[str, tuple[str, ...]]:
    """IANA zones by ISO 3166 alpha-2 country, `zone.tab` of the packaged data."""
    found: dict[str, list[str]] = {}
    for line in files("tzdata").joinpath("zoneinfo/zone.tab").read_text(encoding="ascii").splitlines():
        if not line.startswith("#"):
            country, _, zone = line.split("\t")[:3]
            found.setdefault(country, []).append(zone)
    return {country: tuple(zones) for country, zones in found.items()}


def american_places() -> frozenset[Place]:
    """Every state with every zone in it."""
    return frozenset(Place(USA, state, zone) for state, zones in area_codes().items() for zone in zones)


def _american(area_code: str, state: str | None, zone: str | None) -> frozenset[Place]:
    by_number = _by_area_code().get(area_code, frozenset())
    # By its clock and not its name: US/Eastern, America/Detroit and America/Toronto say nothing else than New York.
    by_zone = frozenset(each for each in american_places() if zone is not None and _clock(each.zone) == _clock(zone))
    if state is not None:
        of_state = frozenset(each for each in american_places() if each.state == state)
        return (of_state & by_number) or of_state
    # Zone and number agree on a state, or only one of them can be right: then it is the zone.
    return (by_number & by_zone) or by_zone or by_number or american_places()


@cache
def _clock(zone: str) -> tuple[tuple[int, int], ...]:
    """The moments at which a zone's clock changes, and how far it is ahead of UTC from then on, seconds."""
    info = ZoneInfo(zone)
    found: list[tuple[int, int]] = []
    for moment in range(_CLOCK_FROM, _CLOCK_UNTIL, _CLOCK_STEP_S):
        ahead_s = int((datetime.fromtimestamp(moment, info).utcoffset() or timedelta()).total_seconds())
        if not found or ahead_s != found[-1][1]:
            found.append((moment, ahead_s))
    return tuple(found)


@cache
def _by_area_code() -> Mapping[str, frozenset[Place]]:
    found: dict[str, set[Place]] = {}
    for state, zones in area_codes().items():
        for zone, codes in zones.items():
            for code in codes:
                found.setdefault(code, set()).add(Place(USA, state, zone))
    return {code: frozenset(places) for code, places in found.items()}


@lru_cache(maxsize=100_000)  # a look-up takes about 20 µs
def _zones_of(e164: str) -> tuple[str, ...]:
    zones = number_zones.time_zones_for_number(phonenumbers.parse(e164))
    return tuple(zone for zone in zones if zone != _NOBODY_KNOWS)


@cache
def zone_names() -> frozenset[str]:
    """Every IANA name in the packaged data. A machine may know others, such as `localtime`: they mean its own place."""
    return frozenset(files("tzdata").joinpath("zones").read_text(encoding="ascii").split())
