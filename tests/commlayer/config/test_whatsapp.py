"""Categories that WhatsApp would not deliver, and of which policy cannot know it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from commlayer.config import Problem
from commlayer.config.problems import Severity

Change = Callable[[dict[str, Any]], object]
Find = Callable[[Change], list[Problem]]

WHATSAPP = {"account": "main", "address": "+14155550199", "type": "whatsapp", "rate": 80, "partition": 5}


def installed(
    category: dict[str, Any], allowed: list[str], sender: dict[str, Any]
) -> Callable[[dict[str, Any]], object]:
    def change(data: dict[str, Any]) -> None:
        data["senders"]["wa"] = {**WHATSAPP, **sender}
        data["categories"]["offers"] = {"doubt": "stop", "quiet_hours": "exempt", **category}
        data["apps"]["shop"] = {"categories": ["offers"], "senders": ["wa"], "principal": "User:shop"}
        data["countries"]["allow"] = allowed

    return change


UNNAMED = {"class": "bulk"}


@pytest.mark.parametrize(
    ("category", "countries", "sender", "told"),
    [
        (UNNAMED, ["US"], {}, True),
        (UNNAMED, ["CA", "DE"], {}, True),
        ({"class": "normal", "consent": "opt_in"}, ["US", "DE"], {}, True),
        ({"class": "normal"}, ["US"], {}, False),
        ({**UNNAMED, "intent": "marketing"}, ["US"], {}, False),
        (UNNAMED, ["DE"], {}, False),
        (UNNAMED, ["US", "DE"], {"countries": ["DE"]}, False),
        (UNNAMED, ["US"], {"categories": ["otp"]}, False),
        (UNNAMED, ["US"], {"type": "long_code"}, False),
    ],
)
def test_what_looks_like_marketing_without_intent_is_told_where_it_may_go_by_whatsapp_to_plus_one(
    problems_after: Find, category: dict[str, Any], countries: list[str], sender: dict[str, Any], told: bool
) -> None:
    def change(data: dict[str, Any]) -> None:
        installed(category, countries, sender)(data)
        del data["senders"]["us-short"], data["senders"]["de-name"], data["groups"]
        data["pools"]["login"] = ["wa"]
        data["apps"]["login"]["countries"] = countries

    found = [each for each in problems_after(change) if "63049" in each.what]
    assert [(each.place, each.severity) for each in found] == [("categories.offers", Severity.WARNING)] * told
    assert all("intent: marketing" in each.fix for each in found)
