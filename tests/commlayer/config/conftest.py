"""A small installation that is right; tests break one thing in it at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from commlayer.config import ConfigurationInvalid, Problem, loads

Change = Callable[[dict[str, Any]], object]


def good() -> dict[str, Any]:
    return {
        "kafka": {"bootstrap": ["127.0.0.1:9092"], "partitions": {"dispatch": 8}},
        "registry": {"url": "http://127.0.0.1:8085/apis/ccompat/v7"},
        "bridge": {"public_url": "https://comms.example.com", "listen": "127.0.0.1:8080"},
        "accounts": {
            "main": {
                "sid": "AC" + "1" * 32,
                "auth_token": {"env": "TOKEN"},
                "api_key": {"sid": "SK" + "2" * 32, "secret": {"env": "SECRET"}},
            }
        },
        "groups": {"europe": {"partition": 2}},
        "senders": {
            "us-short": {
                "account": "main",
                "address": "12345",
                "type": "short_code",
                "rate": 100,
                "partition": 0,
                "countries": ["US"],
            },
            "de-name": {
                "account": "main",
                "address": "EXAMPLE",
                "type": "alphanumeric",
                "rate": 10,
                "group": "europe",
                "countries": ["DE"],
            },
        },
        "pools": {"login": ["us-short"]},
        "categories": {"otp": {"class": "critical", "doubt": "resend"}},
        "apps": {"login": {"categories": ["otp"], "pool": "login", "principal": "User:login"}},
        "countries": {"allow": ["US", "DE"]},
        "quiet_hours": {"countries": {"DE": {"open": [{"from": "00:00", "until": "24:00"}]}}},
        "consumers": {"cdp": {"principal": "User:cdp", "topics": ["status"]}},
    }


@pytest.fixture
def config_data() -> dict[str, Any]:
    return good()


@pytest.fixture
def problems_after() -> Callable[[Change], list[Problem]]:
    """The problems of the good configuration after one change; empty when it is still accepted."""

    def find(change: Change) -> list[Problem]:
        data = good()
        change(data)
        try:
            return list(loads(yaml.safe_dump(data, sort_keys=False), "test.yaml").warnings)
        except ConfigurationInvalid as invalid:
            return invalid.problems

    return find
