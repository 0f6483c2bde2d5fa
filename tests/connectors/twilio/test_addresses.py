from __future__ import annotations

import pytest

from connectors.twilio.account import Account
from connectors.twilio.addresses import Address, SenderType, format_address, parse_address, sender_type
from schemas.records import Channel
from tests.connectors.twilio.orders import account


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("+14155550123", Address("", "+14155550123")),
        ("whatsapp:+14155550123", Address("whatsapp", "+14155550123")),
        ("whatsapp:BR.1234567890", Address("whatsapp", "BR.1234567890")),
        ("rcs:acme_agent", Address("rcs", "acme_agent")),
        ("ACME", Address("", "ACME")),
        ("72345", Address("", "72345")),
        ("", Address("", "")),
        ("Shop: x", Address("", "Shop: x")),
    ],
)
def test_an_address_is_taken_apart(text: str, address: Address) -> None:
    assert parse_address(text) == address


def test_only_whatsapp_addresses_get_a_prefix() -> None:
    assert format_address(Channel.SMS, "+1") == format_address(Channel.MMS, "+1") == "+1"
    assert format_address(Channel.WHATSAPP, "+1") == "whatsapp:+1"


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("+14155550100", SenderType.LONG_CODE),
        ("+4915112345678", SenderType.LONG_CODE),
        ("+18335550100", SenderType.TOLL_FREE),
        ("+18005550100", SenderType.TOLL_FREE),
        ("+442833555010", SenderType.LONG_CODE),
        ("72345", SenderType.SHORT_CODE),
        ("ACME", SenderType.ALPHANUMERIC),
        ("whatsapp:+14155550100", SenderType.CHANNEL),
        ("rcs:acme", SenderType.CHANNEL),
    ],
)
def test_a_senders_kind_follows_from_its_address(address: str, kind: SenderType) -> None:
    assert sender_type(address) is kind


def test_an_account_never_shows_its_secrets() -> None:
    shown = repr(Account("main", "AC1", "SK1", "s3cret", signing_tokens=("t0ken",)))

    assert "s3cret" not in shown
    assert "t0ken" not in shown
    assert account() == account()
    assert len({account(), account()}) == 1
