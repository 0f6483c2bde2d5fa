"""When a sender is avoided, in the configuration: what is wrong with it, and what feedback gets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from commlayer.config import Problem, conversions, loads
from commlayer.config.sender_health import SenderHealth
from streams.feedback.sender_health import SenderHealthSettings

from .conftest import good

Find = Callable[[Callable[[dict[str, Any]], object]], list[Problem]]


@pytest.mark.parametrize(
    ("section", "path", "what", "fix"),
    [
        ({"unhealthy_above": 0.1, "healthy_below": 0.2}, "sender_health", "healthy and not", "at most"),
        ({"window": "20m", "avoid_for": "10m"}, "sender_health", "window 20m and avoid_for 10m", "from that length"),
        ({"window": "9s"}, "sender_health", "window 9s", "at least 10s"),
        ({"avoid_for": "2d"}, "sender_health", "avoid_for 2d", "24h"),
        ({"unhealthy_above": 20}, "sender_health.unhealthy_above", "at most 1", ""),
        ({"healthy_below": 0}, "sender_health.healthy_below", "more than 0", ""),
        ({"at_least": 0}, "sender_health.at_least", "at least 1", ""),
        ({"window": "5 min"}, "sender_health.window", "no duration", "15m"),
    ],
)
def test_a_mistake_is_told_with_path_and_fix(
    problems_after: Find, section: dict[str, Any], path: str, what: str, fix: str
) -> None:
    found = problems_after(lambda data: data.update(sender_health=section))
    assert any(each.place == path and what in each.what and fix in each.fix for each in found), found


def test_without_a_section_feedback_gets_its_own_defaults() -> None:
    assert SenderHealth().as_feedback() == SenderHealthSettings()


def test_feedback_gets_what_is_configured() -> None:
    section = {"window": "1m", "at_least": 7, "unhealthy_above": 0.5, "healthy_below": 0.25, "avoid_for": "5m"}
    loaded = loads(yaml.safe_dump({**good(), "sender_health": section}), "test.yaml")
    assert loaded.config.sender_health.as_feedback() == SenderHealthSettings(
        window_ms=60_000, at_least=7, unhealthy_above=0.5, healthy_below=0.25, avoid_ms=300_000
    )


def test_an_operator_says_which_code_counts_against_its_sender() -> None:
    rules = {"30007": {"blames_sender": False}, "30036": {"blames_sender": True}}
    config = loads(yaml.safe_dump({**good(), "errors": rules}), "test.yaml").config
    errors = conversions.error_policy(config)
    assert [errors.classify(code).blames_sender for code in (30007, 30008, 30036)] == [False, True, True]


def test_an_operator_says_which_code_may_be_about_the_country() -> None:
    rules = {"21606": {"may_be_country": False}, "21657": {"may_be_country": True}}
    config = loads(yaml.safe_dump({**good(), "errors": rules}), "test.yaml").config
    errors = conversions.error_policy(config)
    assert [errors.classify(code).may_be_country for code in (21606, 21659, 21657)] == [False, True, True]
