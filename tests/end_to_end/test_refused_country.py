"""A sender that may not write to a country, among others that may: what it cannot carry leaves by another one."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from commlayer_client import Publisher

from schemas.records import Control, ControlAction, MessageStatus
from schemas.topics import CONTROL
from tests.support.brokers import start_own_broker
from tests.support.kafka import Kafka
from tests.support.waiting import wait_until

from .road import running_road

FREE, LOCAL = "+18005550199", "+14155550100"
SETTINGS = {
    "senders": {
        "free": {"account": "main", "address": FREE, "type": "toll_free", "rate": 400, "partition": 0},
        "local": {"account": "main", "address": LOCAL, "type": "long_code", "rate": 50, "partition": 1},
    },
    "pools": {"all": ["free", "local"]},
    "categories": {"service": {"class": "normal", "doubt": "resend", "quiet_hours": "exempt"}},
    "apps": {"shop": {"categories": ["service"], "pool": "all"}},
    "countries": {"allow": ["US", "DE"]},
    "twin": {"outcomes": {"rules": [{"to_prefix": "+49", "from_address": FREE, "refuse": 21606}]}},
}
EACH = 150


@pytest.mark.long
@pytest.mark.timeout(240)
def test_what_one_sender_may_not_carry_to_a_country_leaves_by_another(registry_url: str, tmp_path: Path) -> None:
    async def publish() -> dict[str, str]:
        async with Publisher(app="shop", bootstrap=road.kafka.bootstrap, registry_url=road.registry_url) as shop:
            sent = {}
            for number in range(EACH):
                for to in (f"+1415555{number:04d}", f"+49151123{number:05d}"):
                    receipt = await shop.send(to=to, category="service", body=f"to {to}")
                    sent[receipt.message_id] = to
            return sent

    broker = start_own_broker()
    try:
        with running_road(Kafka(broker.bootstrap), registry_url, tmp_path, SETTINGS) as road:
            sent = asyncio.run(publish())
            wait_until(lambda: len(road.final_statuses()) >= len(sent), "every message to be final", within_s=60)
            assert {each.status for each in road.final_statuses().values()} == {MessageStatus.DELIVERED}
            accepted = road.twin("/messages?direction=outbound-api")
            assert {row["m"]: row["to"] for row in accepted} == sent
            by = Counter((row["from"], row["to"][:3]) for row in accepted)
            assert by[LOCAL, "+49"] == EACH
            assert by[FREE, "+14"] > by[LOCAL, "+14"], "which has no trouble there"
            told = [each for each in road.records(CONTROL) if isinstance(each, Control) and each.error_code == 21606]
            assert [each.subject for each in told if each.action is ControlAction.PAUSE][-1] == "free@DE"
            assert len(road.twin("/refusals?code=21606")) < EACH // 2
    finally:
        broker.close()
