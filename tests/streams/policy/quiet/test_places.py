"""Everywhere where a person may be."""

from __future__ import annotations

import pytest
from phonenumbers.tzdata import TIMEZONE_DATA

from streams.policy.profile import Profile
from streams.policy.quiet import law
from streams.policy.quiet.places import USA, Place, american_places, area_codes, candidates, zone_names

EASTERN, CENTRAL = "America/New_York", "America/Chicago"


def test_every_zone_that_a_number_can_name_is_known() -> None:
    named = {zone for zones in TIMEZONE_DATA.values() for zone in zones}
    assert named | {place.zone for place in american_places()} <= zone_names()


def test_the_table_has_every_state_with_area_codes_of_three_digits() -> None:
    assert len(area_codes()) == 51  # with the District of Columbia
    codes = [code for zones in area_codes().values() for each in zones.values() for code in each]
    assert all(len(code) == 3 and code.isdigit() for code in codes)
    states_of = {
        code: {s for s, zones in area_codes().items() if any(code in z for z in zones.values())} for code in codes
    }
    assert all(len(states) == 1 for states in states_of.values())  # no area code crosses a state line


def test_every_state_with_hours_of_its_own_is_in_the_table() -> None:
    assert set(law.packaged().us_states) <= set(area_codes())


@pytest.mark.parametrize(
    ("number", "profile", "places"),
    [
        ("+14155550123", None, {("CA", "America/Los_Angeles")}),
        ("+18505550123", None, {("FL", EASTERN), ("FL", CENTRAL)}),
        ("+17135550123", None, {("TX", CENTRAL)}),
        ("+19155550123", Profile(time_zone="America/Denver"), {("TX", "America/Denver")}),
        ("+18505550123", Profile(time_zone=EASTERN), {("FL", EASTERN)}),
        ("+14155550123", Profile(state="tx"), {("TX", CENTRAL), ("TX", "America/Denver")}),
        ("+14155550123", Profile(state="TX", time_zone=CENTRAL), {("TX", CENTRAL)}),
        ("+18505550123", Profile(state="FL"), {("FL", EASTERN), ("FL", CENTRAL)}),
        ("+14155550123", Profile(time_zone="Asia/Tokyo"), {("CA", "Asia/Tokyo")}),
        ("+14155550123", Profile(time_zone="Mars/Olympus", state="ZZ"), {("CA", "America/Los_Angeles")}),
    ],
)
def test_an_american_number(number: str, profile: Profile | None, places: set[tuple[str, str]]) -> None:
    assert candidates(number, USA, profile) == {Place(USA, state, zone) for state, zone in places}


def test_a_zone_that_the_number_does_not_fit_names_every_state_in_it() -> None:
    found = candidates("+14155550123", USA, Profile(time_zone=CENTRAL))
    assert {"TX", "TN", "IL", "FL"} <= {place.state for place in found}
    assert {place.zone for place in found} == {CENTRAL}


@pytest.mark.parametrize("zone", ["US/Eastern", "America/Detroit", "America/Toronto", "EST5EDT"])
def test_a_zone_of_another_name_with_the_same_clock_names_the_same_states(zone: str) -> None:
    moved = candidates("+14155550123", USA, Profile(time_zone=zone))
    assert {place.state for place in moved} == {
        place.state for place in candidates("+14155550123", USA, Profile(time_zone=EASTERN))
    }
    assert "FL" in {place.state for place in moved}, "whose law is stricter than the country's"
    assert {place.zone for place in moved} == {zone}
    assert candidates("+18505550123", USA, Profile(time_zone=zone)) == {Place(USA, "FL", zone)}


def test_a_clock_that_no_state_keeps_says_nothing_of_the_state() -> None:
    assert candidates("+14155550123", USA, Profile(time_zone="America/Havana")) == {Place(USA, "CA", "America/Havana")}


@pytest.mark.parametrize(
    ("territory", "zone"),
    [
        ("PR", "America/Puerto_Rico"),
        ("vi", "America/St_Thomas"),
        ("GU", "Pacific/Guam"),
        ("MP", "Pacific/Saipan"),
        ("AS", "Pacific/Pago_Pago"),
    ],
)
@pytest.mark.parametrize("country", [None, "US"])
def test_a_territory_given_as_state_is_a_place_of_its_own(territory: str, zone: str, country: str | None) -> None:
    found = candidates("+14155550123", USA, Profile(state=territory, country=country))
    assert found == {Place(territory.upper(), None, zone), Place(USA, "CA", "America/Los_Angeles")}
    assert territory.upper() in law.packaged().countries


@pytest.mark.parametrize(
    ("overlay", "of"), [("448", "850"), ("689", "407"), ("364", "270"), ("930", "812"), ("458", "541")]
)
def test_an_overlay_has_the_zones_of_the_area_code_it_shares_its_region_with(overlay: str, of: str) -> None:
    assert candidates(f"+1{overlay}5550123", USA, None) == candidates(f"+1{of}5550123", USA, None)


def test_an_area_code_that_is_not_known_may_be_anywhere_in_the_country() -> None:
    assert candidates("+18005550123", USA, None) == american_places()


def test_a_number_of_a_country_with_many_zones_is_in_all_of_them() -> None:
    zones = {place.zone for place in candidates("+79161234567", "RU", None)}
    assert {"Europe/Moscow", "Asia/Vladivostok"} <= zones


def test_a_country_that_only_the_profile_names_has_its_own_clock() -> None:
    found = candidates("+41791234567", "CH", Profile(country="JP"))
    assert found == {Place("CH", None, "Europe/Zurich"), Place("JP", None, "Asia/Tokyo")}


def test_a_number_whose_zone_nobody_knows_may_be_anywhere_in_its_country() -> None:
    found = candidates("+881612345678", "AU", None)
    assert {"Australia/Perth", "Australia/Sydney"} <= {place.zone for place in found}
    assert candidates("+881612345678", "001", None) == frozenset()
    assert candidates("+881612345678", "001", Profile(country="JP")) == {Place("JP", None, "Asia/Tokyo")}


def test_two_countries_count_where_profile_and_number_differ() -> None:
    found = candidates("+41791234567", "CH", Profile(country="US", time_zone=EASTERN, state="CT"))
    assert found == {Place("CH", None, EASTERN), Place(USA, "CT", EASTERN)}
