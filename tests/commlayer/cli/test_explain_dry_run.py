"""`commlayer explain --dry-run`: on a real broker, and without any."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.kafka.partitioning import partition_of
from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.state import PartitionStates
from schemas import ids
from schemas.codec import SingleObjectCodec
from schemas.records import (
    Channel,
    Consent,
    ConsentChange,
    ConsentScope,
    ConsentSource,
    Content,
    MessageClass,
    PolicyDecision,
    PolicyOutcome,
)
from schemas.topics import CONSENT, CONTROL, POLICY_STATE
from streams.control.backlogs import backlog, backlog_key
from streams.policy.idempotency import digest
from streams.policy.memory import Memory
from tests.commlayer.conftest import Commlayer
from tests.streams.policy.installation import request
from tests.support.kafka import Kafka, Outgoing

TO = "+14155550123"


def line(**fields: object) -> str:
    return json.dumps({"to": TO, "category": "otp", "body": "your code is 4711"} | fields) + "\n"


def test_a_dry_run_shows_the_lane_that_an_admitted_request_would_take(commlayer: Commlayer) -> None:
    shown = commlayer("explain", "--dry-run", "-", "--offline", "--app", "shop", "--json", input=line())
    assert shown.exit_code == 0, shown.output
    told = json.loads(shown.stdout)
    assert (told["decision"], told["lane"], told["segments"]) == ("admitted", "us", 1)
    assert {each["verdict"] for each in told["rules"]} == {"allow"}
    assert "4711" not in shown.stdout


def test_a_dry_run_goes_on_behind_the_first_denial(commlayer: Commlayer) -> None:
    shown = commlayer(
        "explain", "--dry-run", "-", "--offline", "--app", "shop", input=line(category="nope", to="+442079460000")
    )
    assert shown.exit_code == 1
    assert "unknown_category" in shown.stdout
    assert "landline_recipient" in shown.stdout
    assert "builds on `category`, which does not allow" in shown.stdout
    assert "would be denied by rule category: unknown_category" in shown.stdout


def test_an_unknown_app_is_denied_and_not_a_crash(commlayer: Commlayer) -> None:
    shown = commlayer("explain", "--dry-run", "-", "--offline", "--app", "shopp", input=line())
    assert shown.exit_code == 1
    assert "unknown_app" in shown.stdout


def test_a_bad_line_is_named_and_the_others_are_told(commlayer: Commlayer) -> None:
    shown = commlayer(
        *("explain", "--dry-run", "-", "--offline", "--app", "shop", "--json"),
        input="{\n" + line(body=4) + line(urgent="no") + line(),
    )
    assert shown.exit_code == 2
    assert "line 1: not JSON" in shown.stderr
    assert "line 2: " in shown.stderr
    assert "line 3: urgent: is of type str" in shown.stderr
    assert len(shown.stdout.splitlines()) == 1


def test_the_clock_of_a_profile_and_a_given_moment_decide_quiet_hours(
    commlayer: Commlayer, config_file: Path, tmp_path: Path
) -> None:
    config_file.write_text(config_file.read_text().replace("quiet_hours: exempt\n", "quiet_hours: apply\n"))
    profile = tmp_path / "profile.yaml"
    profile.write_text("time_zone: America/New_York\ncountry: US\n")
    arguments = (
        "explain",
        "--dry-run",
        "-",
        "--offline",
        "--app",
        "shop",
        "--profile",
        str(profile),
        "--json",
        "--now",
    )
    asked = line(category="news", to="+12125550123")
    night = json.loads(commlayer(*arguments, "2026-12-10T03:00:00-05:00", input=asked).stdout)
    noon = json.loads(commlayer(*arguments, "2026-12-10T12:00:00-05:00", input=asked).stdout)

    def of(told: dict[str, list[dict[str, str]]]) -> str:
        return next(each["verdict"] for each in told["rules"] if each["rule"] == "quiet_hours")

    assert (of(night), of(noon)) == ("defer", "allow")
    profile.write_text("timezone: America/New_York\n")
    wrong = commlayer(*arguments, "0", input=asked)
    assert wrong.exit_code == 2
    assert "did you mean `time_zone`?" in wrong.stderr


@pytest.fixture
def remembered(on_kafka: Kafka, tmp_path: Path) -> Callable[[Callable[[Memory, int], Awaitable[None]], str], None]:
    """Writes what policy remembers of a person, as policy does."""

    async def write(keep: Callable[[Memory, int], Awaitable[None]], person: str) -> None:
        home = partition_of(person.encode(), 2)
        settings = KafkaSettings(bootstrap=(on_kafka.bootstrap,))
        publisher = DurablePublisher(settings, name="policy")
        await publisher.start()
        states = PartitionStates(POLICY_STATE, settings, publisher, directory=tmp_path / "policy")
        await states.start()
        await states.open(home)
        try:
            await keep(Memory(states), home)
        finally:
            await states.stop()
            await publisher.stop()

    return lambda keep, person: asyncio.run(write(keep, person))


def decision(message_id: str, at: int, **changes: object) -> PolicyDecision:
    values: dict[str, Any] = {
        "message_id": message_id,
        "round": 0,
        "outcome": PolicyOutcome.ADMITTED,
        "at": at,
        "app": "shop",
        "category": "news",
        "channel": Channel.SMS,
        "sender": "us",
        "admitted_at": at,
        "origin": "comms.requests.shop:0:1",
        "forget_at": at + 10**9,
    }
    return PolicyDecision(**{**values, **changes})


def rehearsed(commlayer: Commlayer, *more: str, **fields: object) -> dict[str, Any]:
    shown = commlayer("explain", "--dry-run", "-", "--app", "shop", "--json", *more, input=line(**fields))
    told: dict[str, Any] = json.loads(shown.stdout)
    return told


def test_a_dry_run_knows_what_the_person_agreed_to(commlayer: Commlayer, on_kafka: Kafka) -> None:
    person = "+14155550131"
    stop = Consent(
        consent_id="c",
        recipient=person,
        change=ConsentChange.OPT_OUT,
        scope=ConsentScope.CATEGORY,
        scope_value="news",
        source=ConsentSource.KEYWORD,
        at=1,
    )
    on_kafka.produce([Outgoing(CONSENT, SingleObjectCodec().encode(stop), person.encode())])
    told = rehearsed(commlayer, to=person, category="news")
    assert (told["decision"], told["reason"]) == ("denied", "opted_out")
    assert told["facts"]["consent.standing"] == "opt_out category news"
    assert "consent" in told["read"]
    assert rehearsed(commlayer, to=person)["decision"] == "admitted", "codes are not in its scope"
    assert rehearsed(commlayer, "--offline", to=person, category="news")["decision"] == "admitted"


def test_a_dry_run_knows_what_policy_remembers_of_the_person_and_the_key(
    commlayer: Commlayer, config_file: Path, remembered: Callable[..., None]
) -> None:
    person, now_ms = "+14155550132", time.time_ns() // 1_000_000
    named = ids.message_id_by_key("shop", person, "k-1")
    capped = "caps: {week: {categories: [news], per: 7d, at_most: 1, over: deny}}\n"
    config_file.write_text(config_file.read_text() + capped)

    async def keep(memory: Memory, home: int) -> None:
        await memory.keep_decision(home, person, decision("m-0", now_ms - 1000))
        taken = request(recipient=person, category="otp", content=Content(body="your code is 4711"))
        await memory.keep_decision(home, person, decision(named, now_ms, category="otp", digest=digest(taken)))

    remembered(keep, person)
    denied = rehearsed(commlayer, to=person, category="news")
    assert (denied["reason"], denied["facts"]["messages.admitted"]) == ("frequency_cap", "2")
    assert rehearsed(commlayer, to="+14155550133", category="news")["decision"] == "admitted"
    repeat = rehearsed(commlayer, to=person, idempotency_key="k-1")
    assert (repeat["repeats"]["message_id"], repeat["repeats"]["outcome"]) == (named, "admitted")
    other = rehearsed(commlayer, to=person, idempotency_key="k-1", body="another text")
    assert other["reason"] == "idempotency_conflict"


def test_a_dry_run_knows_pauses_and_backlogs(commlayer: Commlayer, on_kafka: Kafka) -> None:
    now_ms, codec = time.time_ns() // 1_000_000, SingleObjectCodec()
    behind = backlog("us", {MessageClass.BULK: 86_400.0 * 2}, by="dispatch", at=now_ms)
    on_kafka.produce([Outgoing(CONTROL, codec.encode(behind), backlog_key("us"), 0)])
    late = rehearsed(commlayer, to="+14155550134", category="news")
    assert late["reason"] == "backlog"
    assert rehearsed(commlayer, to="+14155550134")["decision"] == "admitted"
    assert commlayer("lanes", "pause", "--app", "shop", "--by", "ada").exit_code == 0
    paused = rehearsed(commlayer, to="+14155550134")
    assert (paused["decision"], paused["reason"]) == ("deferred", "app_paused")
    commlayer("lanes", "resume", "--app", "shop", "--by", "ada")
    on_kafka.produce([Outgoing(CONTROL, None, backlog_key("us"), 0)])


def test_a_dry_run_says_what_it_could_not_know(commlayer: Commlayer) -> None:
    """Nobody answers at the configured address."""
    asked = ("explain", "--dry-run", "-", "--app", "shop", "--now", "1800000000000")
    shown = commlayer(*asked, input=line())
    assert shown.exit_code == 0
    assert "Kafka is not read: Kafka at 127.0.0.1:1: " in shown.stderr
    assert "--offline" in shown.stderr
    for missing in ("consent, earlier messages", "quotas"):
        assert f"not available, taken for nothing: {missing}" in shown.stdout
    quiet = commlayer(*asked, "--offline", input=line())
    assert (quiet.stderr, quiet.stdout) == ("", shown.stdout)
    assert commlayer("explain", "x", "--offline").exit_code == 2
