from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from schemas.records import Channel, CustomerProfile
from streams.policy.profile import Profile
from streams.policy.profile_sources import TraitNames, merged, profile_of_record, profile_of_traits

NAMES = TraitNames(
    customer_id="id", time_zone="tz", country="land", state="st", locale="lang", preferred_channel="via", carrier="net",
    variables={"name": "first_name", "points": "loyalty points"},
)  # fmt: skip
SAID: dict[str, Any] = {
    "customer_id": "c-1",
    "time_zone": "America/Chicago",
    "locale": "en-US",
    "country": "US",
    "state": "TX",
    "preferred_channel": Channel.WHATSAPP,
    "carrier": "T-Mobile USA, Inc.",
}


def test_a_record_says_everything_that_a_profile_holds() -> None:
    record = CustomerProfile(recipient="+14155550123", updated_at=1, variables={"name": "Ann"}, **SAID)
    assert profile_of_record(record) == Profile(**SAID, variables={"name": "Ann"})


def test_a_record_that_says_nothing_is_a_profile_that_says_nothing() -> None:
    assert profile_of_record(CustomerProfile(recipient="+14155550123", updated_at=1)) == Profile()


def test_traits_say_what_their_names_are_configured_for_and_no_more() -> None:
    traits = {
        "id": "c-1", "tz": "America/Chicago", "lang": "en-US", "land": "us", "st": "tx", "via": "WhatsApp",
        "net": " T-Mobile USA, Inc. ",
        "first_name": "Ann", "secret": "x", "country": "DE",
    }  # fmt: skip
    assert profile_of_traits(traits, NAMES) == Profile(**SAID, variables={"name": "Ann"})


def test_the_wanted_traits_are_those_with_a_use_each_once() -> None:
    assert TraitNames(time_zone="tz", variables={"a": "x", "b": "tz", "c": "x"}).wanted == ("tz", "x")


@pytest.mark.parametrize(
    "traits",
    [
        {"tz": "Central Time"},
        {"tz": "localtime"},
        {"land": "United States"},
        {"land": "U1"},
        {"st": "Texas"},
        {"lang": "English (US)"},
        {"via": "pigeon"},
        {"id": "  "},
        {"tz": ""},
    ],
)
def test_what_is_not_well_formed_is_unknown(traits: dict[str, str]) -> None:
    assert profile_of_traits(traits, NAMES) == Profile()


@pytest.mark.parametrize(
    ("topic", "api", "expected"),
    [
        (None, None, None),
        ({"locale": "en"}, None, {"locale": "en"}),
        (None, {"locale": "en"}, {"locale": "en"}),
        ({"locale": "en", "customer_id": "c"}, {"locale": "de"}, {"locale": "de", "customer_id": "c"}),
        (
            {"variables": {"a": "1", "b": "1"}},
            {"variables": {"b": "2", "c": "2"}},
            {"variables": {"a": "1", "b": "2", "c": "2"}},
        ),
        # One place, of which each tells a part
        (
            {"country": "US", "state": "TX"},
            {"time_zone": "America/Chicago"},
            {"country": "US", "state": "TX", "time_zone": "America/Chicago"},
        ),
        # Two places: the newer one, and nothing of the other
        ({"country": "US", "state": "TX", "locale": "en"}, {"country": "DE"}, {"country": "DE", "locale": "en"}),
        ({"state": "TX"}, {"country": "CH"}, {"country": "CH"}),
        ({"country": "US", "state": "TX"}, {"time_zone": "America/New_York"}, {"time_zone": "America/New_York"}),
        ({"state": "TX", "time_zone": "America/Denver"}, {"state": "CA"}, {"state": "CA"}),
        # An API that says nothing of a place leaves the topic's
        ({"country": "US", "state": "TX"}, {"locale": "de"}, {"country": "US", "state": "TX", "locale": "de"}),
        ({"state": "TX", "time_zone": "US/Central"}, {}, {"state": "TX", "time_zone": "US/Central"}),
    ],
)
def test_the_api_wins_but_no_place_is_mixed_of_two(
    topic: dict[str, Any] | None, api: dict[str, Any] | None, expected: dict[str, Any] | None
) -> None:
    def profile(said: dict[str, Any] | None) -> Profile | None:
        return None if said is None else Profile(**said)

    assert merged(profile(topic), profile(api)) == profile(expected)


_EVERYTHING: dict[str, Any] = {
    "customer_id": "c",
    "time_zone": "America/Chicago",
    "locale": "en",
    "country": "US",
    "state": "TX",
    "preferred_channel": Channel.SMS,
    "carrier": "att",
    "variables": {"a": "1"},
}


def test_nothing_of_a_profile_is_lost_on_its_way() -> None:
    assert _EVERYTHING.keys() == {each.name for each in fields(Profile)}
    whole = Profile(**_EVERYTHING)
    assert merged(whole, Profile()) == whole
    assert merged(Profile(), whole) == whole
    names = TraitNames(**{name: f"t-{name}" for name in _EVERYTHING if name != "variables"}, variables={"a": "t-a"})
    traits = {f"t-{name}": str(said) for name, said in _EVERYTHING.items() if name != "variables"}
    assert profile_of_traits(traits | {"t-a": "1"}, names) == whole
