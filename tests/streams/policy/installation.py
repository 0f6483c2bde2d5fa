"""A small installation and requests to it, for the tests of policy."""

from __future__ import annotations

from typing import Any

from schemas.records import (
    Channel,
    Content,
    Control,
    ControlAction,
    ControlSubject,
    DoubtPolicy,
    MessageClass,
    MessageRequest,
)
from streams.policy.case import Case, Entry, Origin
from streams.policy.config import AppGrants, Category, PolicyConfig, Sender, SenderType

NOW = 1_800_000_000_000
"""The moment of every decision in these tests, epoch milliseconds UTC."""
MINUTE = 60_000
HOUR = 60 * MINUTE

MOBILE = "+41791234567"
AMERICAN = "+14155550123"
LANDLINE = "+493012345678"


def sender(name: str, partition: int, **changes: Any) -> Sender:
    values: dict[str, Any] = {
        "name": name,
        "account": "main",
        "lane": name,
        "group": name,
        "partition": partition,
        "address": f"+1500555{partition:04d}",
        "type": SenderType.LONG_CODE,
    }
    return Sender(**{**values, **changes})


def config(**changes: Any) -> PolicyConfig:
    values: dict[str, Any] = {
        "version": "test",
        "apps": {
            "login": AppGrants(name="login", categories=frozenset({"otp"}), pools=("codes",)),
            "shop": AppGrants(
                name="shop",
                categories=frozenset({"marketing", "service"}),
                pools=("campaigns",),
                senders=("wa",),
            ),
            "off": AppGrants(name="off", categories=frozenset({"otp"}), pools=("codes",), enabled=False),
            "swiss": AppGrants(
                name="swiss", categories=frozenset({"service"}), pools=("codes",), countries=frozenset({"CH"})
            ),
        },
        "categories": {
            "otp": Category(
                name="otp",
                message_class=MessageClass.CRITICAL,
                deadline_s=600,
                doubt_policy=DoubtPolicy.RESEND,
                message_intent="otp",
                validity_period_s=300,
            ),
            "service": Category(name="service", message_class=MessageClass.NORMAL),
            "marketing": Category(name="marketing", message_class=MessageClass.BULK, shorten_urls=True),
        },
        "senders": {
            "short": sender(
                "short", 0, address="72345", type=SenderType.SHORT_CODE, rate=100.0, countries=frozenset({"US"})
            ),
            "long": sender("long", 1, rate=10.0),
            "promo-a": sender("promo-a", 2, channels=frozenset({Channel.SMS, Channel.MMS}), rate=10.0),
            "promo-b": sender("promo-b", 3, rate=30.0),
            "wa": sender("wa", 4, type=SenderType.WHATSAPP, channels=frozenset({Channel.WHATSAPP}), rate=80.0),
        },
        "pools": {"codes": ("short", "long"), "campaigns": ("promo-a", "promo-b")},
        "countries": frozenset({"US", "CA", "CH", "DE"}),
    }
    return PolicyConfig(**{**values, **changes})


def request(**changes: Any) -> MessageRequest:
    values: dict[str, Any] = {
        "recipient": MOBILE,
        "category": "otp",
        "content": Content(body="Your code is 123456"),
        "created_at": NOW - 20,
    }
    return MessageRequest(**{**values, **changes})


def entry(**changes: Any) -> Entry:
    values: dict[str, Any] = {"message_id": "m-1", "app": "login", "origin": Origin("comms.requests.login", 3, 42)}
    return Entry(**{**values, **changes})


def case(*, entry_of: dict[str, Any] | None = None, configured: PolicyConfig | None = None, **changes: Any) -> Case:
    return Case(request(**changes), entry(**(entry_of or {})), configured or config(), NOW)


def shop_case(**changes: Any) -> Case:
    return case(entry_of={"app": "shop"}, **{"category": "service", **changes})


def pause(app: str, *, since: int = NOW, until: int | None = None) -> Control:
    """An operator's pause of an app."""
    return Control(
        subject_kind=ControlSubject.APP, subject=app, action=ControlAction.PAUSE, by="ada", at=since, until=until
    )
