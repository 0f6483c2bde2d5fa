"""Open where the clock on the wall says so, through every change of every clock."""

from __future__ import annotations

from importlib.resources import files
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.policy.quiet.hours import Hours, Opening
from streams.policy.quiet.openings import Local, closes_at, opens_at
from streams.policy.quiet.places import zone_names
from tests.streams.policy.quiet.wall_clock import BEGIN, DAYS, END, MINUTE, Week, open_on_the_wall, transitions

HOUR = 3600

# Openings that begin and end within the hours at which clocks are changed, and between them; other ones on each day.
NIGHT: Week = {
    day: [(f"0{hour}:{5 * number + 11:02}", f"0{hour}:{5 * number + 11 + 13:02}") for hour in range(6)]
    + [(f"0{hour}:00", f"0{hour}:04") for hour in (0, 2, 4)]
    + [(f"0{hour}:57", f"0{hour + 1}:00") for hour in (0, 2, 4)]
    + [("08:00", "21:00"), ("23:30", "24:00")]
    for number, day in enumerate(DAYS)
}


def hours(week: Week) -> Hours:
    return Hours(tuple(Opening.parse(start, end, [day]) for day, openings in week.items() for start, end in openings))


def is_open(places: frozenset[Local], moment_ms: int) -> bool:
    return opens_at(places, moment_ms, moment_ms + 1) is not None


def distinct_zones() -> list[str]:
    """All zones of the packaged data, one name for those that are links of one another."""
    found: dict[bytes, str] = {}
    for name in sorted(zone_names()):
        found.setdefault(files("tzdata").joinpath("zoneinfo", *name.split("/")).read_bytes(), name)
    return sorted(found.values())


def test_every_minute_around_every_change_of_every_clock_until_2035() -> None:
    week_hours = hours(NIGHT)
    changes = 0
    for name in distinct_zones():
        zone, places = ZoneInfo(name), frozenset({Local(name, week_hours)})
        for change in transitions(zone):
            changes += 1
            for moment in range(change - 2 * HOUR, change + 2 * HOUR, MINUTE):
                assert is_open(places, moment * 1000) == open_on_the_wall(zone, NIGHT, moment), (name, moment)
    assert changes > 3000  # some 100 zones change twice a year


def test_every_minute_of_the_day_throughout_a_year_in_zones_with_strange_clocks() -> None:
    for name in ("America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Chatham", "Africa/Casablanca"):
        zone, places = ZoneInfo(name), frozenset({Local(name, hours(NIGHT))})
        begin = 1_735_689_600  # 2025-01-01
        for moment in range(begin, begin + 365 * 24 * HOUR, 7 * MINUTE):  # 7 is prime to 60: every minute of a day
            assert is_open(places, moment * 1000) == open_on_the_wall(zone, NIGHT, moment), (name, moment)


ZONES = st.sampled_from(sorted(zone_names()))
MOMENTS = st.integers(int(BEGIN.timestamp()) // MINUTE, int(END.timestamp()) // MINUTE).map(lambda m: m * MINUTE)
DAY_HOURS = st.sampled_from([(start, end) for end in range(1, 25) for start in range(end)])
WEEKS = st.dictionaries(
    st.sampled_from(DAYS), st.lists(DAY_HOURS.map(lambda h: (f"{h[0]:02}:00", f"{h[1]:02}:00")), min_size=1), min_size=1
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(ZONES, WEEKS), min_size=1, max_size=4), MOMENTS, st.integers(0, 72 * 60))
def test_the_next_opening_and_the_next_closing_are_the_first_minutes_that_the_walls_show(
    places: list[tuple[str, Week]], moment: int, minutes: int
) -> None:
    until = moment + minutes * MINUTE
    walls = [(ZoneInfo(zone), week) for zone, week in places]
    shown = {
        at: all(open_on_the_wall(zone, week, at) for zone, week in walls)
        for at in range(moment, until + 3 * MINUTE, MINUTE)
    }
    asked = frozenset(Local(zone, hours(week)) for zone, week in places)
    first_open = next((at for at, is_one in shown.items() if is_one and at < until), None)
    assert opens_at(asked, moment * 1000, until * 1000) == (None if first_open is None else first_open * 1000)
    if shown[moment]:
        first_shut = next((at for at, is_one in shown.items() if not is_one and at <= until), None)
        assert closes_at(asked, moment * 1000, until * 1000) == (None if first_shut is None else first_shut * 1000)


def test_a_day_that_is_closed_has_no_opening() -> None:
    place = Local("Europe/Berlin", Hours((Opening.parse("08:00", "20:00"),), frozenset({"12-25", "2026-12-26"})))
    evening = 1_798_138_800_000  # 2026-12-24 20:00 in Berlin
    assert opens_at(frozenset({place}), evening, evening + 5 * 86_400_000) == evening + 60 * HOUR * 1000
    assert opens_at(frozenset({place}), evening + 365 * 86_400_000, evening + 370 * 86_400_000) == (
        evening + (365 * 24 + 36) * HOUR * 1000  # in 2027 only the 25th
    )


@pytest.mark.parametrize(
    ("start", "end", "complaint"),
    [("21:00", "08:00", "two openings"), ("08:00", "08:00", "two openings"), ("8:00", "9:00", "HH:MM")],
)
def test_an_opening_that_is_none_says_how_to_mend_it(start: str, end: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Opening.parse(start, end)


def test_hours_without_opening_are_refused() -> None:
    with pytest.raises(ValueError, match="without any opening"):
        Hours(())
