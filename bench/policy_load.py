"""The two installations that policy is measured on, and what is asked of them.

* thin: one app, one sender, one category that only opt-outs stop. The rules that need neither profile nor caps.
* all: every rule has something to look at. Opt-in needed and there, a template filled from the profile (comms.profiles
  and Segment, whose answers are in the cache), unsubscribe line, cap, quiet hours by the profile's place (open around
  the clock, or the time of day would be measured), four senders by area code, quotas of app and lanes, tags. Three
  messages to each person.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path

from schemas.codec import SingleObjectCodec
from schemas.records import (
    Consent,
    ConsentChange,
    ConsentScope,
    ConsentSource,
    Content,
    CustomerProfile,
    MessageClass,
    MessageRequest,
)
from schemas.topics import CONSENT, PROFILES, request_topic
from tests.support.kafka import Kafka, Outgoing

APP = "shop"
MESSAGES_EACH = 3
HOUSEHOLDS = 100
"""Customer ids that Segment is asked about: few, so that it is the cache that answers."""
_AREAS = {"415": ("CA", "America/Los_Angeles"), "212": ("NY", "America/New_York"), "312": ("IL", "America/Chicago")}
_ALWAYS = {"open": [{"from": "00:00", "until": "24:00"}]}


class Rules(StrEnum):
    """Which installation."""

    THIN = "thin"
    ALL = "all"


MESSAGE_CLASS = {Rules.THIN: MessageClass.NORMAL, Rules.ALL: MessageClass.BULK}
"""Of everything that is asked for."""


def configuration(rules: Rules, kafka: Kafka, folder: Path, segment: str | None) -> dict[str, object]:
    """The YAML; Twilio is never called. `segment` is where its Profile API answers."""
    common: dict[str, object] = {
        "kafka": {"bootstrap": [kafka.bootstrap], "replication": 1, "session_timeout_s": 6, "request_timeout_s": 2},
        "bridge": {"public_url": "http://127.0.0.1:1", "listen": "127.0.0.1:1"},
        "accounts": {"main": {"sid": "AC" + "0" * 32, "auth_token": {"env": "BENCH_TOKEN"}}},
        "countries": {"allow": ["US"]},
        "health": {"policy": 0, "dispatch": 0, "feedback": 0},
        "data_dir": str(folder / "data"),
    }
    if rules is Rules.THIN:
        return {
            **common,
            "senders": {
                "main": {"account": "main", "address": "+18005550199", "type": "toll_free", "rate": 100, "partition": 0}
            },
            "pools": {"all": ["main"]},
            "categories": {
                "service": {"class": "normal", "doubt": "resend", "quiet_hours": "exempt"},
                "otp": {"class": "critical", "doubt": "resend"},
            },
            "apps": {APP: {"categories": ["service"], "pool": "all"}},
        }
    senders = {
        f"local-{number}": {
            "account": "main",
            "address": f"+1{area}5550{number:03d}",
            "type": "long_code",
            "rate": 10,
            "partition": number,
            "brand": APP,
        }
        for number, area in enumerate(["415", "212", "312", "305"])
    }
    plenty = {"per_second": 1_000_000, "per_day": 1_000_000_000}
    text = "Hello {{ name }}, {{ offer }} waits for you until Sunday: {{ link }}"
    return {
        **common,
        "senders": senders,
        "pools": {"all": [*senders]},
        "categories": {
            "offers": {
                "class": "bulk",
                "doubt": "stop",
                "intent": "marketing",
                "unsubscribe": True,
                "consent": "opt_in",
                "quiet_hours": "apply",
                "enrichment": "required",
            },
            "otp": {"class": "critical", "doubt": "resend"},
        },
        "apps": {
            APP: {
                "categories": ["offers"],
                "pool": "all",
                "templates": ["offer"],
                "geo_match": "area_code",
                "quota": {**plenty, "lanes": dict.fromkeys(senders, plenty)},
            }
        },
        "templates": {
            "offer": {
                "current": "1",
                "default_locale": "en",
                "max_segments": 2,
                "categories": ["offers"],
                "versions": {
                    "1": {
                        "variables": {
                            "name": {"max_length": 20, "charset": "gsm7"},
                            "offer": {"max_length": 40, "charset": "gsm7"},
                            "link": {"kind": "url", "max_length": 60},
                        },
                        "texts": {"en": text},
                    }
                },
            }
        },
        "unsubscribe_lines": {"en": "Reply STOP to opt out"},
        "caps": {"offers": {"categories": ["offers"], "per": "7d", "at_most": 2 * MESSAGES_EACH}},
        "quiet_hours": {
            "countries": {"US": _ALWAYS},
            "us_states": {state: _ALWAYS for state, _ in _AREAS.values()},
        },
        "profiles": {
            "source": "both",
            "segment": {
                "space": "bench",
                "token": {"env": "BENCH_TOKEN"},
                "base_url": segment,
                "ids": [{"from": "recipient_id", "type": "user_id"}],
                "traits": {"locale": "language"},
                "variables": {"name": "first_name"},
                "cache_s": 3600,
            },
        },
    }


def people(rules: Rules, requests: int) -> list[Outgoing]:
    """What is known of people before they are written to: an opt-in and a profile each."""
    if rules is Rules.THIN:
        return []
    codec = SingleObjectCodec()
    now_ms = int(time.time() * 1000)

    def of(number: int) -> Iterator[Outgoing]:
        recipient, (state, zone) = _person(number)
        opt_in = Consent(
            consent_id=f"c-{number}",
            recipient=recipient,
            change=ConsentChange.OPT_IN,
            scope=ConsentScope.ALL,
            source=ConsentSource.PREFERENCE_CENTRE,
            evidence=f"form-{number}",
            at=now_ms,
        )
        profile = CustomerProfile(recipient=recipient, time_zone=zone, state=state, country="US", updated_at=now_ms)
        yield Outgoing(CONSENT, codec.encode(opt_in), recipient.encode())
        yield Outgoing(PROFILES, codec.encode(profile), recipient.encode())

    return [record for number in range(-(-requests // MESSAGES_EACH)) for record in of(number)]


def backlog(rules: Rules, requests: int) -> Iterator[Outgoing]:
    """What is asked for, of different people one after the other."""
    codec = SingleObjectCodec()
    now_ms = int(time.time() * 1000)
    people = requests if rules is Rules.THIN else -(-requests // MESSAGES_EACH)
    for number in range(requests):
        recipient, _ = _person(number % people)
        link = f"shop.example/t/{number}"
        if rules is Rules.THIN:
            request = MessageRequest(
                recipient=recipient,
                category="service",
                content=Content(body=f"Your order {number} leaves today. Track it: {link}"),
                idempotency_key=f"order-{number}",
                created_at=now_ms,
            )
        else:
            request = MessageRequest(
                recipient=recipient,
                category="offers",
                content=Content(
                    template="offer", variables={"offer": f"your offer {number}", "link": f"https://{link}"}
                ),
                idempotency_key=f"offer-{number}",
                recipient_id=f"household-{number % HOUSEHOLDS}",
                campaign="autumn",
                tags={"campaign": "autumn", "wave": "1"},
                created_at=now_ms,
            )
        yield Outgoing(request_topic(APP), codec.encode(request), recipient.encode())


def _person(number: int) -> tuple[str, tuple[str, str]]:
    area, place = list(_AREAS.items())[number % len(_AREAS)]
    return f"+1{area}{2_000_000 + number:07d}", place
