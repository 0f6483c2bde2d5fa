"""Frequency caps in the configuration: what is wrong with them, and what policy gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from commlayer.config import Problem, Severity, conversions, loads
from commlayer.config.fields import duration_s
from schemas.records import Channel
from streams.policy.config import Cap, OverCap

Find = Callable[[Callable[[dict[str, Any]], object]], list[Problem]]
GOOD: dict[str, Any] = {"categories": ["offers"], "per": "7d", "at_most": 3}


def put(**changes: Any) -> Callable[[dict[str, Any]], object]:
    def change(data: dict[str, Any]) -> None:
        data["categories"]["offers"] = {"class": "bulk", "doubt": "stop"}
        data["caps"] = {"weekly": {**GOOD, **changes}}

    return change


@pytest.mark.parametrize(
    ("changes", "path", "what", "fix"),
    [
        ({"categories": []}, "caps.weekly.categories", "must not be empty", "at least one"),
        ({"categories": ["offer"]}, "caps.weekly.categories[0]", "no category is called `offer`", "`offers`"),
        ({"categories": ["offers", "offers"]}, "caps.weekly.categories[1]", "twice", "keep one"),
        ({"channels": ["sms", "sms"]}, "caps.weekly.channels[1]", "`sms` stands here twice", "keep one"),
        ({"channels": ["fax"]}, "caps.weekly.channels[0]", "unknown value", "sms"),
        ({"per": "1 week"}, "caps.weekly.per", "no duration: 1 week", "7d"),
        ({"per": "0d"}, "caps.weekly.per", "no duration", "7d"),
        ({"per": "91d"}, "caps.weekly.per", "too long", "at most 90d"),
        ({"at_most": 0}, "caps.weekly.at_most", "must be at least 1", "limit"),
        ({"over": "drop"}, "caps.weekly.over", "unknown value", "defer"),
    ],
)
def test_a_mistake_is_told_with_path_and_fix(
    problems_after: Find, changes: dict[str, Any], path: str, what: str, fix: str
) -> None:
    found = problems_after(put(**changes))
    assert any(each.place == path and what in each.what and fix in each.fix for each in found), found


def test_a_cap_that_would_hold_codes_back_is_hardly_meant(problems_after: Find) -> None:
    [warning] = problems_after(put(categories=["offers", "otp"]))
    assert (warning.place, warning.severity) == ("caps.weekly.categories[1]", Severity.WARNING)


@pytest.mark.parametrize("remember", ["7d", "91d", "1h"])
def test_a_message_is_remembered_for_longer_than_its_topic_and_not_for_ever(
    problems_after: Find, remember: str
) -> None:
    found = problems_after(lambda data: data.update(idempotency={"remember": remember}))
    assert [(each.place, each.fix) for each in found] == [("idempotency.remember", "write 8d to 90d.")]


def test_policy_remembers_for_as_long_as_the_configuration_says(config_data: dict[str, Any]) -> None:
    def remembered() -> int:
        return conversions.policy_config(loads(yaml.safe_dump(config_data), "test.yaml").config).remember_ms

    day_ms = 86_400_000
    assert remembered() == 8 * day_ms
    config_data["idempotency"] = {"remember": "30d"}
    assert remembered() == 30 * day_ms


def test_policy_gets_the_caps(config_data: dict[str, Any]) -> None:
    put(channels=["sms", "mms"], over="deny", per="90m")(config_data)
    policy = conversions.policy_config(loads(yaml.safe_dump(config_data), "test.yaml").config)
    assert policy.caps == (
        Cap(
            name="weekly",
            categories=frozenset({"offers"}),
            channels=frozenset({Channel.SMS, Channel.MMS}),
            window_ms=5_400_000,
            at_most=3,
            over=OverCap.DENY,
        ),
    )


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("15m", 900), ("24h", 86_400), ("7d", 604_800)])
def test_durations(text: str, seconds: int) -> None:
    assert duration_s(text) == seconds
