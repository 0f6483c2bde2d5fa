"""A person's profile from where customer data comes: the topic comms.profiles, and traits of an API.

What is not well-formed is left out, as if the source did not say it: the number still tells something, and quiet hours
count the strictest of the places that are left.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

from schemas.records import Channel, CustomerProfile

from .profile import Profile
from .quiet.places import USA, area_codes, zone_names

_COUNTRY = re.compile(r"[A-Z]{2}")
_STATE = _COUNTRY
_LOCALE = re.compile(r"[A-Za-z]{2,8}([-_][A-Za-z0-9]{1,8})*")
_PLACE = ("time_zone", "country", "state")
_CHANNELS = frozenset(Channel)


@dataclass(frozen=True, slots=True, kw_only=True)
class TraitNames:
    """Which trait of a customer data platform tells what.

    Attributes:
        customer_id, time_zone, locale, country, state, preferred_channel, carrier: name of the trait; None: none tells
            it.
        variables: name of the trait by variable of templates.
    """

    customer_id: str | None = None
    time_zone: str | None = None
    locale: str | None = None
    country: str | None = None
    state: str | None = None
    preferred_channel: str | None = None
    carrier: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def wanted(self) -> tuple[str, ...]:
        """Every trait that tells something, each once."""
        named = [getattr(self, each.name) for each in fields(self) if each.name != "variables"]
        return tuple(dict.fromkeys(name for name in (*named, *self.variables.values()) if name is not None))


def profile_of_record(record: CustomerProfile) -> Profile:
    """The profile that a record of comms.profiles says. The latest record is the whole profile: what it does not say
    is unknown, whatever an earlier one said."""
    return _profile(
        {
            "customer_id": record.customer_id,
            "time_zone": record.time_zone,
            "locale": record.locale,
            "country": record.country,
            "state": record.state,
            "preferred_channel": record.preferred_channel,
            "carrier": record.carrier,
        },
        record.variables,
    )


def profile_of_traits(traits: Mapping[str, str], names: TraitNames) -> Profile:
    """The profile that a person's traits say, by their configured names."""
    said = {
        each.name: traits.get(name)
        for each in fields(names)
        if each.name != "variables" and (name := getattr(names, each.name)) is not None
    }
    variables = {variable: traits[name] for variable, name in names.variables.items() if name in traits}
    return _profile(said, variables)


def merged(topic: Profile | None, api: Profile | None) -> Profile | None:
    """One profile of two sources. The API wins field by field, and variable by variable: it was asked just now, while
    the topic's record is as old as the last change that was published.

    A place is not put together from two that do not agree: then zone, country and state are all the API's. Half of each
    would be a place where the person never was.
    """
    if topic is None or api is None:
        return api or topic
    rest = {
        each.name: getattr(topic, each.name)
        for each in fields(Profile)
        if each.name != "variables" and getattr(api, each.name) is None
    }
    both = replace(api, **rest, variables={**topic.variables, **api.variables})
    if _says_where(api) and not _same_place(topic, both):
        return replace(both, time_zone=api.time_zone, country=api.country, state=api.state)
    return both


def _says_where(profile: Profile) -> bool:
    return any(getattr(profile, name) is not None for name in _PLACE)


def _same_place(topic: Profile, both: Profile) -> bool:
    if any(getattr(topic, name) not in (None, getattr(both, name)) for name in _PLACE):
        return False
    if both.state is None:
        return True
    zones = area_codes().get(both.state, {})
    return both.country in (None, USA) and (both.time_zone is None or both.time_zone in zones)


def _profile(said: Mapping[str, str | None], variables: Mapping[str, str]) -> Profile:
    texts = {name: value.strip() for name, value in said.items() if value is not None and value.strip()}
    country, state = texts.get("country", "").upper(), texts.get("state", "").upper()
    zone, locale, channel = texts.get("time_zone"), texts.get("locale", ""), texts.get("preferred_channel", "").lower()
    return Profile(
        customer_id=texts.get("customer_id"),
        time_zone=zone if zone in zone_names() else None,
        locale=locale if _LOCALE.fullmatch(locale) else None,
        country=country if _COUNTRY.fullmatch(country) else None,
        state=state if _STATE.fullmatch(state) else None,
        preferred_channel=Channel(channel) if channel in _CHANNELS else None,
        carrier=texts.get("carrier"),
        variables=dict(variables),
    )
