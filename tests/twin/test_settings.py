from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.twin.rig import Caller
from twin.server import Twin
from twin.settings import DEMO_ACCOUNT, DEMO_TOKEN, TwinSettings

YAML = """
clock: virtual
accounts:
  - {sid: AC11111111111111111111111111111111, auth_token: t}
senders:
  - {address: "+15557122661", rate: 2.5, inbound_url: "http://127.0.0.1:8080/twilio/inbound"}
  - {address: "+18885550100"}
  - {address: "55103"}
  - {address: ACME}
  - {address: "whatsapp:+15557122669"}
services:
  - {sid: MG11111111111111111111111111111111, senders: ["+15557122661"]}
outcomes:
  seed: 7
  default: {final_after_s: 0.5}
  rules:
    - {to_suffix: "0404", status: undelivered, error_code: 30003}
    - {share: 0.05, status: undelivered, error_code: 30008, final_after_s: [1, 2]}
faults:
  requests: [{kind: error_after, share: 0.01}]
"""


async def test_a_yaml_file_sets_a_twin_up(tmp_path: Path) -> None:
    path = tmp_path / "twin.yaml"
    path.write_text(YAML, encoding="utf-8")
    loaded = TwinSettings.load(path)
    assert loaded.outcomes.default.final_after_s == (0.5, 0.5)
    async with Twin(loaded) as twin:
        senders = twin.exchange.directory.senders
        assert {sender.type: sender.rate for sender in senders.values()} == {
            "long_code": 2.5,
            "toll_free": 3.0,
            "short_code": 100.0,
            "alphanumeric": 10.0,
            "whatsapp": 80.0,
        }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("accounts: []", "accounts"),
        ("accounts: [{sid: AC1, auth_token: t}]", "accounts.0.sid"),
        (YAML + "colour: green", "colour"),
        (YAML.replace("rate: 2.5", "rate: 0"), "senders.0.rate"),
        (YAML.replace("undelivered, error_code: 30003", "undelivered"), "undelivered needs an error_code"),
        (YAML.replace('senders: ["+15557122661"]', 'senders: ["+1"]'), "services.0.senders: no sender +1"),
        (
            YAML.replace("address: ACME", "address: ACME, account: AC22222222222222222222222222222222"),
            "senders.3.account: no account AC2",
        ),
        (YAML.replace("error_after", "earthquake"), "faults.requests.0.kind"),
    ],
)
def test_a_mistake_is_refused_with_its_path(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "twin.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ValidationError) as caught:
        TwinSettings.load(path)
    assert said in str(caught.value)


async def test_the_demo_twin_sends() -> None:
    async with Twin() as twin:
        answer = await Caller(twin, DEMO_ACCOUNT, DEMO_TOKEN).create(account=DEMO_ACCOUNT, From="+15005551001")
        assert answer.status == 201
        await twin.settled()
        assert twin.books.summary()["by_status"] == {"delivered": 1}
