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
        record.customer_id,
        record.time_zone,
        record.locale,
        record.country,
        record.state,
        record.preferred_channel,
        record.carrier,
        record.variables,
    )


def profile_of_traits(traits: Mapping[str, str], names: TraitNames) -> Profile:
    """The profile that a person's traits say, by their configured names."""
    get = traits.get
    return _profile(
        None if names.customer_id is None else get(names.customer_id),
        None if names.time_zone is None else get(names.time_zone),
        None if names.locale is None else get(names.locale),
        None if names.country is None else get(names.country),
        None if names.state is None else get(names.state),
        None if names.preferred_channel is None else get(names.preferred_channel),
        None if names.carrier is None else get(names.carrier),
        {variable: traits[name] for variable, name in names.variables.items() if name in traits},
    )


def merged(topic: Profile | None, api: Profile | None) -> Profile | None:
    """One profile of two sources. The API wins field by field, and variable by variable: it was asked just now, while
    the topic's record is as old as the last change that was published.

    A place is not put together from two that do not agree: then zone, country and state are all the API's. Half of each
    would be a place where the person never was.
    """
    if topic is None or api is None:
        return api or topic
    both = Profile(
        customer_id=topic.customer_id if api.customer_id is None else api.customer_id,
        time_zone=topic.time_zone if api.time_zone is None else api.time_zone,
        locale=topic.locale if api.locale is None else api.locale,
        country=topic.country if api.country is None else api.country,
        state=topic.state if api.state is None else api.state,
        preferred_channel=topic.preferred_channel if api.preferred_channel is None else api.preferred_channel,
        carrier=topic.carrier if api.carrier is None else api.carrier,
        variables={**topic.variables, **api.variables},
    )
    if _says_where(api) and not _same_place(topic, both):
        return replace(both, time_zone=api.time_zone, country=api.country, state=api.state)
    return both


def _says_where(profile: Profile) -> bool:
    return profile.time_zone is not None or profile.country is not None or profile.state is not None


def _same_place(topic: Profile, both: Profile) -> bool:
    if (
        topic.time_zone not in (None, both.time_zone)
        or topic.country not in (None, both.country)
        or topic.state not in (None, both.state)
    ):
        return False
    if both.state is None:
        return True
    zones = area_codes().get(both.state, {})
    return both.country in (None, USA) and (both.time_zone is None or both.time_zone in zones)


def _profile(
    customer_id: str | None,
    time_zone: str | None,
    locale: str | None,
    country: str | None,
    state: str | None,
    channel: str | None,
    carrier: str | None,
    variables: Mapping[str, str],
) -> Profile:
    zone, locale = _text(time_zone), _text(locale) or ""
    country, state, channel = (
        (_text(country) or "").upper(),
        (_text(state) or "").upper(),
        (_text(channel) or "").lower(),
    )
    return Profile(
        customer_id=_text(customer_id),
        time_zone=zone if zone in zone_names() else None,
        locale=locale if _LOCALE.fullmatch(locale) else None,
        country=country if _COUNTRY.fullmatch(country) else None,
        state=state if _STATE.fullmatch(state) else None,
        preferred_channel=Channel(channel) if channel in _CHANNELS else None,
        carrier=_text(carrier),
        variables=dict(variables),
    )


def _text(said: str | None) -> str | None:
    return said.strip() or None if said else None
