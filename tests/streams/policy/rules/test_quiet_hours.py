"""Nothing leaves while it is quiet at any place where the person may be."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.reasons import Reason
from schemas.records import MessageRequest
from streams.policy.case import Case
from streams.policy.decide import decide
from streams.policy.facts import Facts
from streams.policy.profile import Profile
from streams.policy.quiet import law
from streams.policy.quiet.hours import WEEKDAYS, Hours, Opening
from streams.policy.quiet.places import area_codes
from streams.policy.rules import quiet_hours
from streams.policy.verdict import ALLOW, Admitted, Defer, Deny
from tests.streams.policy.installation import HOUR, config, entry, request
from tests.streams.policy.quiet.wall_clock import BEGIN, DAYS, END, MINUTE, Week, open_on_the_wall

AUSTIN, HARTFORD, TOLL_FREE = "+15125550123", "+18605550123", "+18005550123"

# The law as §8.3 of the reference tells it, written down a second time.
USA: Week = {day: [("08:00", "21:00")] for day in DAYS}
EVENING_EIGHT: Week = {day: [("08:00", "20:00")] for day in DAYS}
NINE_TO_EIGHT: Week = {day: [("09:00", "20:00")] for day in DAYS}
TEXAS: Week = {**{day: [("09:00", "21:00")] for day in DAYS}, "sun": [("12:00", "21:00")]}
STATES = {
    **dict.fromkeys(("AL", "FL", "LA", "MD", "MS", "OK", "TN", "WA"), EVENING_EIGHT),
    **dict.fromkeys(("CT", "NV"), NINE_TO_EIGHT),
    "TX": TEXAS,
}


def at(text: str, zone: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000)


def case(now: int, *, quiet: law.QuietHours | None = None, profile: Profile | None = None, **changes: Any) -> Case:
    base = config(quiet_hours=law.packaged() if quiet is None else quiet)
    categories = {**base.categories, "marketing": replace(base.categories["marketing"], quiet_hours=True)}
    asked: MessageRequest = request(**{"category": "marketing", "created_at": now, **changes})
    return Case(asked, entry(app="shop"), replace(base, categories=categories), now, Facts(profile=profile))


@pytest.mark.parametrize(
    ("now", "recipient", "opening"),
    [
        ("2026-11-24T20:59", AUSTIN, None),
        ("2026-11-24T21:00", AUSTIN, "2026-11-25T09:00"),
        ("2026-11-29T09:30", AUSTIN, "2026-11-29T12:00"),  # a Sunday
        ("2026-11-28T21:30", AUSTIN, "2026-11-29T12:00"),
        ("2026-03-08T00:30", AUSTIN, "2026-03-08T12:00"),  # clocks go forward
    ],
)
def test_texas(now: str, recipient: str, opening: str | None) -> None:
    zone = "America/Chicago"
    verdict = quiet_hours.check(case(at(now, zone), recipient=recipient))
    assert verdict == (ALLOW if opening is None else Defer(at(opening, zone), Reason.QUIET_HOURS))


def test_a_category_that_is_exempt_goes_at_night() -> None:
    at_night = case(at("2026-11-24T03:00", "America/Chicago"), recipient=AUSTIN, category="service")
    assert quiet_hours.check(at_night) == ALLOW
    assert quiet_hours.allowed_until(at_night) is None


def test_a_message_that_is_worthless_before_the_next_opening_is_denied() -> None:
    now = at("2026-11-24T22:00", "America/Chicago")
    verdict = quiet_hours.check(case(now, recipient=AUSTIN, deadline=now + 11 * HOUR))
    assert isinstance(verdict, Deny)
    assert (verdict.reason, verdict.field) == (Reason.QUIET_HOURS, "deadline")
    assert isinstance(quiet_hours.check(case(now, recipient=AUSTIN, deadline=now + 11 * HOUR + 1)), Defer)


def test_a_scheduled_message_is_judged_by_the_moment_it_asks_for() -> None:
    now = at("2026-11-24T22:00", "America/Chicago")
    assert quiet_hours.check(case(now, recipient=AUSTIN, not_before=now + 12 * HOUR)) == ALLOW
    verdict = quiet_hours.check(case(now - 2 * HOUR, recipient=AUSTIN, not_before=now))
    assert verdict == Defer(at("2026-11-25T09:00", "America/Chicago"), Reason.QUIET_HOURS)


def test_the_profile_beats_the_number() -> None:
    now = at("2026-11-24T07:00", "America/Chicago")  # 22:00 in Tokyo
    assert isinstance(quiet_hours.check(case(now, recipient=AUSTIN)), Defer)
    in_zurich = Profile(time_zone="Europe/Zurich", state="CA")
    assert quiet_hours.check(case(now, recipient=AUSTIN, profile=in_zurich)) == ALLOW  # 14:00


def test_a_country_without_law_has_the_hours_of_the_brand() -> None:
    own = law.read({"countries": {"CH": {"open": [{"from": "10:00", "until": "18:00"}]}}, "us_states": {}})
    nine = at("2026-11-24T09:00", "Europe/Zurich")
    assert quiet_hours.check(case(nine)) == ALLOW
    assert quiet_hours.check(case(nine, quiet=own.over(law.packaged()))) == Defer(nine + HOUR, Reason.QUIET_HOURS)


SATELLITE = "+881612345678"


def test_a_person_of_whom_nobody_knows_where_they_are_is_not_written_to() -> None:
    verdict = quiet_hours.check(case(at("2026-11-24T12:00", "UTC"), recipient=SATELLITE))
    assert isinstance(verdict, Deny)
    assert (verdict.reason, verdict.field) == (Reason.QUIET_HOURS, "recipient")
    noon = case(at("2026-11-24T12:00", "UTC"), recipient=SATELLITE, profile=Profile(time_zone="UTC", country="CH"))
    assert quiet_hours.check(noon) == ALLOW


def test_where_no_hour_is_quiet_at_all_the_place_does_not_matter() -> None:
    noon = at("2026-11-24T12:00", "UTC")
    assert quiet_hours.check(case(noon, recipient=SATELLITE, quiet=law.NO_QUIET_HOURS)) == ALLOW
    assert quiet_hours.check(case(noon, recipient=SATELLITE, category="service")) == ALLOW


def test_hours_for_anywhere_are_open_on_every_clock_of_the_world() -> None:
    workdays = Hours((Opening.parse("00:00", "24:00", WEEKDAYS[:5]),))
    quiet = replace(law.packaged(), anywhere=workdays)
    monday = at("2026-11-30T00:00", "Pacific/Pago_Pago")  # the last place where it begins
    saturday = at("2026-12-05T00:00", "Pacific/Kiritimati")  # the first
    assert quiet_hours.check(case(monday - 1, recipient=SATELLITE, quiet=quiet)) == Defer(monday, Reason.QUIET_HOURS)
    assert quiet_hours.check(case(monday, recipient=SATELLITE, quiet=quiet)) == ALLOW
    last = case(saturday - 1, recipient=SATELLITE, quiet=quiet)
    assert quiet_hours.check(last) == ALLOW
    assert quiet_hours.allowed_until(last) == saturday
    assert isinstance(quiet_hours.check(case(saturday, recipient=SATELLITE, quiet=quiet)), Deny)  # 24 h are too short


def test_the_dispatch_record_says_when_the_next_quiet_hours_begin() -> None:
    now = at("2026-11-24T19:00", "America/New_York")
    noon = case(now, recipient=HARTFORD)
    admitted = decide(noon.request, noon.entry, noon.config, now)
    assert isinstance(admitted, Admitted)
    assert admitted.dispatch.allowed_until == at("2026-11-24T20:00", "America/New_York")


def oracle(recipient: str) -> list[tuple[ZoneInfo, Week]]:
    known = {s: z for s, zones in area_codes().items() if (z := [z for z in zones if recipient[2:5] in zones[z]])}
    states = known or {state: list(zones) for state, zones in area_codes().items()}
    return [(ZoneInfo(z), week) for s, zones in states.items() for z in zones for week in (USA, STATES.get(s, USA))]


RECIPIENTS = st.sampled_from(
    [f"+1{code}5550123" for zones in area_codes().values() for code in sorted({c for z in zones.values() for c in z})]
    + [TOLL_FREE]
)


@settings(max_examples=150, deadline=None)
@given(RECIPIENTS, st.integers(int(BEGIN.timestamp()) // MINUTE, int(END.timestamp()) // MINUTE - 5000))
def test_no_american_is_written_to_outside_the_hours_of_any_place_they_may_be_at(recipient: str, minute: int) -> None:
    now = minute * MINUTE
    walls = oracle(recipient)

    def shown(moment: int) -> bool:
        return all(open_on_the_wall(zone, week, moment) for zone, week in walls)

    asked = case(now * 1000, recipient=recipient)
    verdict = quiet_hours.check(asked)
    if verdict == ALLOW:
        until = quiet_hours.allowed_until(asked)
        assert until is not None
        assert all(shown(moment) for moment in range(now, until // 1000, MINUTE))
        assert not shown(until // 1000)
    else:
        assert isinstance(verdict, Defer)
        assert not any(shown(moment) for moment in range(now, verdict.until // 1000, MINUTE))
        assert shown(verdict.until // 1000)
