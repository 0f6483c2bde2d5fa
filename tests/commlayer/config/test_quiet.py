"""Quiet hours in the configuration: what is wrong with them, and what policy gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from commlayer.config import Problem, conversions, loads
from commlayer.config.problems import Severity
from streams.policy.config import PolicyConfig
from streams.policy.quiet import law
from streams.policy.quiet.hours import WEEKDAYS, Hours, Opening

Find = Callable[[Callable[[dict[str, Any]], object]], list[Problem]]
EIGHT_TO_EIGHT = {"open": [{"from": "08:00", "until": "20:00"}]}


def put(quiet: Any) -> Callable[[dict[str, Any]], object]:
    def change(data: dict[str, Any]) -> None:
        data["quiet_hours"] = quiet

    return change


@pytest.mark.parametrize(
    ("quiet", "path", "what", "fix"),
    [
        ({"everywhere": {"open": []}}, "quiet_hours.everywhere.open", "must not be empty", "at least one"),
        (
            {"everywhere": {"open": [{"from": "8:00", "until": "20:00"}]}},
            "quiet_hours.everywhere.open[0].from",
            "no time of day: 8:00",
            '"08:00"',
        ),
        (
            {"everywhere": {"open": [{"from": "20:00", "until": "08:00"}]}},
            "quiet_hours.everywhere.open[0]",
            "does not come after",
            "two openings",
        ),
        (
            {"everywhere": {**EIGHT_TO_EIGHT, "closed_on": ["02-30"]}},
            "quiet_hours.everywhere.closed_on[0]",
            "no day",
            "MM-DD",
        ),
        ({"us_states": {"TK": EIGHT_TO_EIGHT}}, "quiet_hours.us_states.TK", "no state", "AK, AL"),
        ({"countries": {"UK": EIGHT_TO_EIGHT}}, "quiet_hours.countries.UK", "no ISO 3166", "US"),
        (
            {"everywhere": {"open": [{"from": "09:00", "until": "10:00"}]}},
            "quiet_hours",
            "a number of US leaves its place open",
            "widen",
        ),
        ({"anywhere": EIGHT_TO_EIGHT}, "quiet_hours.anywhere", "every clock of the world", "the whole day"),
        (
            {"us_states": {"TX": {"open": [{"from": "00:00", "until": "06:00"}]}}},
            "quiet_hours",
            "no moment is open",
            "widen",
        ),
    ],
)
def test_a_mistake_is_told_with_path_and_fix(problems_after: Find, quiet: Any, path: str, what: str, fix: str) -> None:
    found = [problem for problem in problems_after(put(quiet)) if problem.place == path]
    assert any(what in problem.what and (fix in problem.fix) for problem in found), problems_after(put(quiet))


def configured(data: dict[str, Any]) -> PolicyConfig:
    return conversions.policy_config(loads(yaml.safe_dump(data), "test.yaml").config)


def test_the_packaged_law_holds_without_a_word(config_data: dict[str, Any]) -> None:
    del config_data["quiet_hours"]
    assert configured(config_data).quiet_hours == law.packaged()


def test_an_entry_replaces_the_law_of_one_place(config_data: dict[str, Any]) -> None:
    config_data["quiet_hours"] = {"countries": {"DE": EIGHT_TO_EIGHT}, "us_states": {"TX": EIGHT_TO_EIGHT}}
    hours = configured(config_data).quiet_hours
    assert hours.us_states["TX"].openings == hours.countries["DE"].openings == (Opening.parse("08:00", "20:00"),)
    assert hours.us_states["CT"] == law.packaged().us_states["CT"]


def test_without_the_law_only_our_own_hours_hold(config_data: dict[str, Any]) -> None:
    config_data["quiet_hours"] = {"law": False, "everywhere": EIGHT_TO_EIGHT}
    hours = configured(config_data).quiet_hours
    assert (hours.countries, hours.us_states) == ({}, {})
    assert hours.everywhere is not None


def test_hours_for_people_whose_place_nobody_knows(problems_after: Find, config_data: dict[str, Any]) -> None:
    workdays = {"open": [{"from": "00:00", "until": "24:00", "days": ["mon", "tue", "wed"]}]}
    assert problems_after(put({"anywhere": workdays})) == []
    assert configured(config_data).quiet_hours.anywhere is None
    config_data["quiet_hours"] = {"anywhere": workdays}
    assert configured(config_data).quiet_hours.anywhere == Hours((Opening.parse("00:00", "24:00", WEEKDAYS[:3]),))


@pytest.mark.parametrize(
    ("settings", "keeps"),
    [
        ({"class": "critical"}, False),
        ({"class": "critical", "quiet_hours": "apply"}, True),
        ({"class": "normal"}, True),
        ({"class": "normal", "intent": "customercare"}, False),
        ({"class": "bulk", "intent": "marketing"}, True),
        ({"class": "bulk", "intent": "marketing", "quiet_hours": "exempt"}, False),
    ],
)
def test_who_keeps_quiet_hours(config_data: dict[str, Any], settings: dict[str, Any], keeps: bool) -> None:
    config_data["categories"]["otp"] = {"doubt": "stop", **settings}
    assert configured(config_data).categories["otp"].quiet_hours is keeps


def keeping(quiet: Any) -> Callable[[dict[str, Any]], object]:
    def change(data: dict[str, Any]) -> None:
        data["categories"]["news"] = {"class": "bulk", "doubt": "stop"}
        data["countries"]["allow"] = ["US", "DE", "PR", "CH"]
        data["quiet_hours"] = quiet

    return change


ALL_DAY = {"open": [{"from": "00:00", "until": "24:00"}]}


@pytest.mark.parametrize(
    ("quiet", "without"),
    [
        ({}, "CH, DE:"),
        ({"countries": {"DE": EIGHT_TO_EIGHT}}, "CH:"),
        ({"law": False}, "CH, DE, PR, US:"),
        ({"countries": {"DE": EIGHT_TO_EIGHT, "CH": ALL_DAY}}, None),
        ({"everywhere": EIGHT_TO_EIGHT}, None),
    ],
)
def test_a_country_without_hours_is_told_where_something_keeps_quiet_hours(
    problems_after: Find, quiet: Any, without: str | None
) -> None:
    found = problems_after(keeping(quiet))
    assert [(each.place, each.severity) for each in found] == [("countries.allow", Severity.WARNING)] * (
        without is not None
    )
    assert all(f"for {without}" in each.what and "quiet_hours" in each.fix for each in found)


def test_where_nothing_keeps_quiet_hours_none_are_missed(problems_after: Find) -> None:
    assert problems_after(put({"law": False})) == []
