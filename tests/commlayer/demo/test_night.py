"""Whenever the demo is shown, somebody sleeps."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import phonenumbers
import pytest

from commlayer.demo.night import CLOSES, OPENS, PLACES, Place, asleep
from streams.policy.quiet.places import candidates


@pytest.mark.parametrize("season", [datetime(2026, 1, 15, tzinfo=UTC), datetime(2026, 7, 15, tzinfo=UTC)])
def test_at_every_minute_a_place_is_closed_and_stays_so_for_an_hour(season: datetime) -> None:
    opens, closes = time.fromisoformat(OPENS), time.fromisoformat(CLOSES)
    for minute in range(24 * 60):
        now = season + timedelta(minutes=minute)
        zone = ZoneInfo(asleep(now).zone)
        for moment in (now, now + timedelta(hours=1)):
            local = moment.astimezone(zone).time()
            assert local < opens or local >= closes, (now, zone)


def test_every_place_has_its_turn() -> None:
    assert {asleep(datetime(2026, 1, 15, hour, tzinfo=UTC)) for hour in range(24)} == set(PLACES)


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.country)
def test_the_number_is_of_its_country_where_one_clock_holds(place: Place) -> None:
    number = phonenumbers.parse(place.number)
    assert phonenumbers.is_valid_number(number)
    assert phonenumbers.region_code_for_number(number) == place.country
    assert {each.zone for each in candidates(place.number, place.country, None)} == {place.zone}
