"""The hours of each country and state: packaged law, replaced or narrowed by the installation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from .hours import WEEKDAYS, Hours, Opening
from .openings import Local
from .places import Place, country_zones

_ENTRY_KEYS = frozenset({"open", "closed_on"})
_OPENING_KEYS = frozenset({"days", "from", "until"})
_KEPT_ANSWERS = 20_000  # of some hundred bytes; there are that many combinations of places only in theory


@dataclass(frozen=True, slots=True, kw_only=True)
class QuietHours:
    """Hours by place; outside of them is quiet.

    Attributes:
        everywhere: hours of the brand, at the recipient's place, beside those of the law; None: no such.
        countries: by ISO 3166 alpha-2.
        us_states: by two letters; they hold beside the country's.
        anywhere: hours for people whose place nobody knows, on every clock of the world; None: never.
        law: version of the packaged law that is part of them; None: it is not.
    """

    everywhere: Hours | None = None
    countries: Mapping[str, Hours] = field(default_factory=dict)
    us_states: Mapping[str, Hours] = field(default_factory=dict)
    anywhere: Hours | None = None
    law: str | None = None
    _found: dict[frozenset[Place], frozenset[Local]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def none_at_all(self) -> bool:
        """No hour is quiet anywhere."""
        return not (self.everywhere or self.countries or self.us_states or self.anywhere)

    def over(self, law: QuietHours) -> QuietHours:
        """These hours where they say something, the law's where they do not."""
        return QuietHours(
            everywhere=self.everywhere,
            countries={**law.countries, **self.countries},
            us_states={**law.us_states, **self.us_states},
            anywhere=self.anywhere,
            law=law.law,
        )

    def at(self, places: frozenset[Place]) -> frozenset[Local]:
        """What must be open for a person who may be at any of these places; empty: no hour is quiet there. The same
        answer is the same object, so that whoever keeps something by it need not compare."""
        found = self._found.get(places)
        if found is None:
            if len(self._found) >= _KEPT_ANSWERS:
                self._found.clear()
            found = self._found[places] = self._at(places)
        return found

    def _at(self, places: frozenset[Place]) -> frozenset[Local]:
        return frozenset(
            Local(place.zone, hours)
            for place in places
            for hours in (
                self.everywhere,
                self.countries.get(place.country),
                self.us_states.get(place.state) if place.state is not None else None,
            )
            if hours is not None
        )


@cache
def on_every_clock(hours: Hours) -> frozenset[Local]:
    """The hours in every zone of every country."""
    return frozenset(Local(zone, hours) for zones in country_zones().values() for zone in zones)


NO_QUIET_HOURS = QuietHours()


@cache
def packaged() -> QuietHours:
    """data/law.yaml."""
    return read(yaml.safe_load(files(__package__).joinpath("data/law.yaml").read_text(encoding="utf-8")))


def read(data: Mapping[str, Any]) -> QuietHours:
    """Hours from plain data of the shape of data/law.yaml.

    Raises:
        ValueError: something has another shape; the text names it.
    """
    _only(data, frozenset({"version", "countries", "us_states"}), "law")
    return QuietHours(
        law=str(data["version"]) if "version" in data else None,
        countries={name: _hours(entry, f"countries.{name}") for name, entry in data["countries"].items()},
        us_states={name: _hours(entry, f"us_states.{name}") for name, entry in data["us_states"].items()},
    )


def _hours(entry: Mapping[str, Any], path: str) -> Hours:
    _only(entry, _ENTRY_KEYS, path)
    openings = []
    for each in entry["open"]:
        _only(each, _OPENING_KEYS, path)
        try:
            openings.append(Opening.parse(each["from"], each["until"], each.get("days", WEEKDAYS)))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
    return Hours(tuple(openings), frozenset(entry.get("closed_on", ())))


def _only(data: Mapping[str, Any], allowed: frozenset[str], path: str) -> None:
    if unknown := set(data) - allowed:
        raise ValueError(f"{path}: unknown {', '.join(sorted(unknown))}; allowed are {', '.join(sorted(allowed))}")
