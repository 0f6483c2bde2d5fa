from __future__ import annotations

from typing import Any

from schemas.records import Control, ControlAction, ControlSubject
from streams.control.day_caps import day_cap_reached, day_count, day_count_key
from streams.control.switches import Aspect, Switches, at_country, control_key, lane_of
from streams.control.trouble import trouble_key

LANE, GROUP, ACCOUNT, APP, _ = ControlSubject
NOW = 1_795_435_200_000


def write(
    switches: Switches,
    action: ControlAction,
    aspect: Aspect = Aspect.PAUSE,
    *,
    kind: ControlSubject = LANE,
    subject: str = "a",
    **more: Any,
) -> None:
    record = Control(subject_kind=kind, subject=subject, action=action, by="ada", at=1, **more)
    switches.take(control_key(kind, subject, aspect), record)


def test_a_pause_holds_until_it_is_resumed() -> None:
    switches = Switches()
    write(switches, ControlAction.PAUSE)
    assert switches.paused(LANE, "a", 10) is not None
    assert switches.paused(LANE, "b", 10) is None
    assert switches.paused(APP, "a", 10) is None
    write(switches, ControlAction.RESUME)
    assert switches.paused(LANE, "a", 10) is None


def test_a_pause_ends_by_itself_at_its_until() -> None:
    switches = Switches()
    write(switches, ControlAction.PAUSE, until=100)
    assert switches.paused(LANE, "a", 99) is not None
    assert switches.next_end_ms(99) == 100
    assert switches.paused(LANE, "a", 100) is None
    assert switches.next_end_ms(100) is None
    assert list(switches.in_force(100)) == []


def test_a_new_rate_does_not_end_a_pause_even_when_the_topic_is_compacted() -> None:
    switches = Switches()
    write(switches, ControlAction.PAUSE)
    write(switches, ControlAction.RATE, Aspect.RATE, rate=3.0)
    assert switches.paused(LANE, "a", 10) is not None
    assert switches.rate(LANE, "a", 10) == 3.0
    assert control_key(LANE, "a", Aspect.PAUSE) != control_key(LANE, "a", Aspect.RATE)


def test_the_end_of_trouble_does_not_end_an_operators_pause() -> None:
    switches = Switches()
    write(switches, ControlAction.PAUSE)
    write(switches, ControlAction.PAUSE, Aspect.TROUBLE, error_code=21606, until=50)
    trouble = switches.trouble(LANE, "a")
    assert trouble is not None
    assert trouble.error_code == 21606
    write(switches, ControlAction.CLEAR, Aspect.TROUBLE)
    assert switches.trouble(LANE, "a") is None
    assert switches.paused(LANE, "a", 10) is not None


def test_trouble_is_told_past_its_next_probe_until_something_worked() -> None:
    switches = Switches()
    write(switches, ControlAction.PAUSE, Aspect.TROUBLE, error_code=21606, until=50)
    assert [each.error_code for each in switches.in_force(60)] == [21606]


def test_a_cleared_or_deleted_rate_is_the_configured_one() -> None:
    switches = Switches()
    write(switches, ControlAction.RATE, Aspect.RATE, rate=3.0)
    write(switches, ControlAction.CLEAR, Aspect.RATE)
    assert switches.rate(LANE, "a", 10) is None
    write(switches, ControlAction.RATE, Aspect.RATE, rate=3.0)
    switches.take(control_key(LANE, "a", Aspect.RATE), None)
    assert switches.rate(LANE, "a", 10) is None


def test_a_rate_that_is_not_more_than_0_is_ignored() -> None:
    switches = Switches()
    write(switches, ControlAction.RATE, Aspect.RATE, rate=0.0)
    assert switches.rate(LANE, "a", 10) is None


def test_paused_apps_are_named() -> None:
    switches = Switches()
    write(switches, ControlAction.PAUSE, kind=APP, subject="shop", until=100)
    write(switches, ControlAction.PAUSE, kind=APP, subject="login")
    assert set(switches.paused_apps(10)) == {"shop", "login"}
    assert set(switches.paused_apps(100)) == {"login"}


def test_a_day_that_a_carrier_has_enough_of_is_in_force_until_it_ends_and_its_count_is_no_switch() -> None:
    switches, capped = Switches(), ("acme", "tmobile")
    said = day_cap_reached(capped, code=30023, why="reached", fix="wait", at=NOW)
    switches.take(trouble_key(said), said)
    count = day_count(capped, used=7, partition=0, position=3, until=NOW + 1, at=NOW)
    switches.take(day_count_key(capped), count)
    assert said.until is not None
    assert list(switches.in_force(NOW)) == [said]
    assert list(switches.in_force(said.until)) == []


def test_a_country_for_which_a_lane_is_refused_is_told_with_its_lane_and_holds_nothing_else() -> None:
    switches = Switches()
    record = Control(
        subject_kind=LANE,
        subject=at_country("a", "DE"),
        action=ControlAction.PAUSE,
        by="dispatch",
        at=NOW,
        until=NOW + 9,
    )
    switches.take(trouble_key(record), record)
    assert list(switches.refused_countries()) == [("a", "DE", record)]
    assert switches.trouble(LANE, "a") is None
    assert (list(switches.in_force(NOW)), list(switches.in_force(NOW + 9))) == ([record], [])
    write(switches, ControlAction.PAUSE, Aspect.TROUBLE, error_code=21606)
    assert list(switches.refused_countries()) == [("a", "DE", record)]
    assert lane_of(record.subject) == lane_of("a") == "a"
    switches.take(trouble_key(record), None)
    assert list(switches.refused_countries()) == []
