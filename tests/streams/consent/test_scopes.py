from __future__ import annotations

import pytest

from schemas.records import Channel, ConsentScope
from streams.consent import About, covers

SERVICE = "MG" + "1" * 32
SINGLE = About(channel=Channel.SMS, category="marketing", sender="promo", address="+15005550001", brand="acme")
POOLED = About(channel=Channel.MMS, category="service", sender="pooled", messaging_service_sid=SERVICE)


@pytest.mark.parametrize(
    ("scope", "value", "single", "pooled"),
    [
        (ConsentScope.ALL, None, True, True),
        (ConsentScope.BRAND, "acme", True, False),
        (ConsentScope.BRAND, None, False, False),
        (ConsentScope.CATEGORY, "marketing", True, False),
        (ConsentScope.CHANNEL, "sms", True, True),
        (ConsentScope.CHANNEL, "mms", False, True),
        (ConsentScope.CHANNEL, "whatsapp", False, False),
        (ConsentScope.MESSAGING_SERVICE, SERVICE, False, True),
        (ConsentScope.MESSAGING_SERVICE, "pooled", False, True),
        (ConsentScope.MESSAGING_SERVICE, None, False, False),
        (ConsentScope.SENDER, "+15005550001", True, False),
        (ConsentScope.SENDER, "promo", True, False),
        (ConsentScope.SENDER, "+15005550002", False, False),
        (ConsentScope.SENDER, None, False, False),
    ],
    ids=str,
)
def test_a_change_concerns_what_its_scope_names(
    scope: ConsentScope, value: str | None, single: bool, pooled: bool
) -> None:
    assert (covers(scope, value, SINGLE), covers(scope, value, POOLED)) == (single, pooled)
