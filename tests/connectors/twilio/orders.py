"""Orders for tests of the Twilio connector."""

from __future__ import annotations

from typing import Any

from connectors.twilio.account import Account
from schemas.records import Channel, Dispatch, DoubtPolicy, Encoding, MessageClass

NOW_MS = 1_795_000_000_000
ACCOUNT_SID = "AC" + "0" * 32
SERVICE_SID = "MG" + "a" * 32
TEMPLATE_SID = "HX" + "b" * 32
SID = "SM" + "c" * 32


def account(base_url: str = "https://api.twilio.com") -> Account:
    return Account("main", ACCOUNT_SID, "SK" + "1" * 32, "s3cret", base_url, ("token",))


def order(**changes: Any) -> Dispatch:
    fields: dict[str, Any] = {
        "message_id": "3f0c7b1e-1111-5222-8333-444455556666",
        "round": 0,
        "app": "login",
        "recipient": "+14155550123",
        "channel": Channel.SMS,
        "category": "otp",
        "message_class": MessageClass.CRITICAL,
        "account": "main",
        "lane": "us-short",
        "group": "us-short",
        "sender": "+14155550100",
        "body": "Your code is 123456",
        "segments": 1,
        "encoding": Encoding.GSM7,
        "requested_at": NOW_MS,
        "decided_at": NOW_MS,
        "deadline": NOW_MS + 24 * 3_600_000,
        "doubt_policy": DoubtPolicy.RESEND,
        "rule_version": "1",
    }
    return Dispatch(**(fields | changes))
