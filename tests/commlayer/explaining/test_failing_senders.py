"""A dry run knows which senders policy would pass over, and tells it."""

from __future__ import annotations

from typing import Any

import yaml

from commlayer.config import loads
from commlayer.explaining.dry_run import run
from commlayer.explaining.known import Known
from streams.consent import Ledger
from streams.policy.memory import Memory
from streams.policy.switchboard import Switched
from tests.commlayer.config.conftest import good
from tests.streams.policy.installation import AMERICAN, NOW, request
from tests.streams.policy.test_desk import Counter


def test_a_dry_run_passes_over_a_sender_that_fails_or_is_refused_for_the_country_and_says_so() -> None:
    data = good()
    data["senders"]["us-other"] = {**data["senders"]["us-short"], "address": "54321", "partition": 1}
    data["pools"]["login"] = ["us-short", "us-other"]
    config = loads(yaml.safe_dump(data), "test.yaml").config

    def told(**switched: Any) -> dict[str, Any]:
        known = Known(Memory(Counter().state), {AMERICAN: Ledger()}, Switched(**switched))
        asked = request(recipient=AMERICAN, category="otp")
        return run(asked, "login", urgent=True, config=config, profile=None, now_ms=NOW, known=known)

    taken = told()["lane"]
    why = "24% of 50 messages failed in 300 s, mostly 30007 Message filtered"
    found = told(failing={taken: why})
    assert {taken, found["lane"]} == {"us-short", "us-other"}
    assert found["facts"]["avoided"] == f"{taken}: {why}"
    assert found["facts"][f"lane.{taken}.failing"] == why
    found = told(refused=frozenset({(taken, "US")}))
    assert {taken, found["lane"]} == {"us-short", "us-other"}
    assert found["facts"][f"lane.{taken}.US"] == "refused by Twilio for this country"
