from __future__ import annotations

from typing import Any

import pytest

from schemas.records import Channel, Content
from streams.policy.decide import decide
from streams.policy.verdict import Admitted
from streams.rounds import request_of
from tests.streams.policy.installation import HOUR, MINUTE, NOW, config, entry, request


@pytest.mark.parametrize(
    "asked",
    [
        {"idempotency_key": "k", "recipient_id": "c-1", "campaign": "x", "tags": {"a": "b"}, "correlation_id": "r"},
        {"content": Content(content_sid="HX" + "0" * 32, variables={"1": "Ann"}), "locale": "de-CH"},
        {"content": Content(body="“curly”"), "smart_encoding": True, "validity_period_s": 60, "shorten_urls": False},
        {"fallback_channels": [Channel.WHATSAPP], "in_reply_to": "SM" + "a" * 32, "deadline": NOW + HOUR},
    ],
    ids=["texts", "template", "options", "channels"],
)
def test_a_message_that_comes_back_is_admitted_as_it_was_before(asked: dict[str, Any]) -> None:
    first = decide(request(**asked), entry(), config(), NOW)
    assert isinstance(first, Admitted)
    order = first.dispatch
    back = entry(round=1, deadline=order.deadline)
    again = decide(request_of(order), back, config(), NOW + MINUTE)
    assert isinstance(again, Admitted)
    assert again.partition == first.partition
    order.round, order.decided_at = 1, NOW + MINUTE
    assert again.dispatch == order
