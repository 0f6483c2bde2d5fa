"""`commlayer lanes` on a real broker, with a real dispatch process and without one."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.codec import SingleObjectCodec
from schemas.records import Control, ControlAction, ControlSubject, MessageClass, Stage
from schemas.topics import CONTROL, dispatch_topic
from streams.control.day_caps import day_cap_reached
from streams.control.trouble import trouble, trouble_key
from tests.commlayer.conftest import Commlayer
from tests.commlayer.programs import Program
from tests.streams.dispatch.simulation import order
from tests.support.kafka import Kafka, Outgoing
from tests.support.processes import free_ports

ADA = {"USER": "ada"}


def latest(kafka: Kafka) -> tuple[bytes | None, Control]:
    stored = kafka.consume_all(CONTROL)[-1]
    record = SingleObjectCodec().decode(stored.value or b"")
    assert isinstance(record, Control)
    return stored.key, record


def test_switches_are_written_under_their_keys_with_who_why_and_how_long(commlayer: Commlayer, on_kafka: Kafka) -> None:
    before = time.time() * 1000
    paused = commlayer("lanes", "pause", "us", "--reason", "carrier asks", "--for", "10m", environment=ADA)
    assert paused.exit_code == 0, paused.output
    assert "lane us: paused by ada until" in paused.stdout
    key, record = latest(on_kafka)
    assert (key, record.by, record.reason) == (b"lane:us", "ada", "carrier asks")
    assert record.until is not None
    assert 590_000 < record.until - before < 620_000
    assert commlayer("lanes", "rate", "5", "us", "--by", "bob").exit_code == 0
    key, record = latest(on_kafka)
    assert (key, record.rate, record.by) == (b"lane:us:rate", 5.0, "bob")
    shown = commlayer("lanes", "list", "--json")
    [lane] = json.loads(shown.stdout)["lanes"]
    assert (lane["state"], lane["paused"]["reason"], lane["rate"]) == ("paused", "carrier asks", 5.0)
    assert "\nus: paused (lane us) by ada: carrier asks, until " in commlayer("lanes", "list").stdout
    assert commlayer("lanes", "rate", "configured", "us", environment=ADA).stdout == (
        "lane us: 50 segments/s, as configured\n"
    )
    assert commlayer("lanes", "resume", "us", environment=ADA).exit_code == 0
    assert commlayer("lanes", "pause", "--app", "shop", environment=ADA).exit_code == 0
    assert commlayer("lanes", "show", "--app", "shop").stdout == "app shop: paused by ada\n"
    assert commlayer("lanes", "resume", "--app", "shop", environment=ADA).exit_code == 0


def test_a_country_for_which_a_lane_is_refused_is_shown_and_tried_again(commlayer: Commlayer, on_kafka: Kafka) -> None:
    now_ms = time.time_ns() // 1_000_000
    met = trouble(
        ControlSubject.LANE,
        "us@DE",
        code=21606,
        why="not for this destination",
        fix="leave DE out",
        by=Stage.DISPATCH,
        at=now_ms,
        until=now_ms + 600_000,
    )
    on_kafka.produce([Outgoing(CONTROL, SingleObjectCodec().encode(met), trouble_key(met), partition=0)])
    assert "lane us@DE: 21606" in commlayer("lanes", "show", "us").stdout
    again = commlayer("lanes", "retry", "us", "de", "--reason", "permitted", environment=ADA)
    assert (again.exit_code, again.stdout) == (0, "lane us: tried again for DE, by ada\n")
    key, record = latest(on_kafka)
    assert (key, record.action, record.reason) == (trouble_key(met), ControlAction.CLEAR, "permitted")
    assert "us@DE" not in commlayer("lanes", "show", "us").stdout


def test_a_day_that_twilio_said_is_over_is_opened_again(
    commlayer: Commlayer, on_kafka: Kafka, config_file: Path
) -> None:
    data: dict[str, Any] = yaml.safe_load(config_file.read_text())
    data["budgets"] = {"acme": {"carriers": {"tmobile": {"per_day": 2000}}}}
    data["groups"] = {"news": {"partition": data["senders"]["us"].pop("partition"), "budget": "acme"}}
    data["senders"]["us"]["group"] = "news"
    config_file.write_text(yaml.safe_dump(data))
    said = day_cap_reached(("acme", "tmobile"), code=30023, why="reached", fix="wait", at=time.time_ns() // 1_000_000)
    on_kafka.produce([Outgoing(CONTROL, SingleObjectCodec().encode(said), trouble_key(said), partition=0)])
    before = commlayer("lanes", "day", "acme", "tmobile")
    assert before.exit_code == 0, before.output
    assert "budget acme at tmobile: 0 of 2,000 segments used; Twilio says it is over (30023 reached)" in before.stdout
    assert "Twilio says it is over" in commlayer("lanes", "show", "us").stdout
    opened = commlayer("lanes", "day", "acme", "tmobile", "--reopen", "--reason", "raised", environment=ADA)
    assert opened.exit_code == 0, opened.output
    assert "by ada: raised" in opened.stdout
    key, record = latest(on_kafka)
    assert (key, record.by, record.used) == (b"budget:acme@tmobile:day", "ada", 0)
    shown = commlayer("lanes", "show", "us").stdout
    assert "opened again at" in shown
    assert "Twilio says it is over" not in shown
    [day] = json.loads(commlayer("lanes", "list", "--json").stdout)["days"]
    assert (day["waits_until"], day["reopened_at"]) == (None, record.at)
    assert json.loads(commlayer("lanes", "day", "acme", "tmobile", "--json").stdout) == day
    assert commlayer("lanes", "day", "acme", "tmobile", "--reopen", environment=ADA).exit_code == 2
    for option in ("--used", "--reason"):
        refused = commlayer("lanes", "day", "acme", "tmobile", option, "5")
        assert (refused.exit_code, f"{option} belongs to --reopen" in refused.stderr) == (2, True)


@pytest.mark.parametrize(("columns", "first"), [("100", "│ us   │"), ("80", "│us  │")])
def test_the_list_fits_the_terminal_and_a_name_stays_in_one_line(
    commlayer: Commlayer, on_kafka: Kafka, columns: str, first: str
) -> None:
    shown = commlayer("lanes", "list", environment={"COLUMNS": columns}).stdout.splitlines()
    assert max(map(len, shown[:5])) <= int(columns)
    assert shown[3].startswith(first)


def test_without_dispatch_the_list_says_so_and_tells_what_waits(
    commlayer: Commlayer, on_kafka: Kafka, config_file: Path
) -> None:
    [port] = free_ports(1)
    _configure(config_file, port)
    each = order(lane="us", message_class=MessageClass.HIGH)
    on_kafka.produce([Outgoing(dispatch_topic(MessageClass.HIGH), SingleObjectCodec().encode(each), b"m", partition=0)])
    shown = commlayer("lanes", "list", "--json")
    assert shown.exit_code == 0
    assert json.loads(shown.stdout)["lanes"][0]["waiting"]["high"] >= 1
    table = commlayer("lanes", "list")
    assert "us" in table.stdout
    assert f"dispatch at 127.0.0.1:{port}: no answer" in table.stderr
    assert "no dispatch process answers" in table.stderr


def test_with_dispatch_the_list_shows_what_a_paused_lane_holds(
    commlayer: Commlayer, on_kafka: Kafka, config_file: Path
) -> None:
    [port] = free_ports(1)
    _configure(config_file, port)
    assert commlayer("lanes", "pause", "us", environment=ADA).exit_code == 0
    made = [order(lane="us", message_class=MessageClass.BULK) for _ in range(3)]
    topic, codec = dispatch_topic(MessageClass.BULK), SingleObjectCodec()
    on_kafka.produce([Outgoing(topic, codec.encode(each), each.message_id.encode(), partition=0) for each in made])
    with Program("run", "dispatch", config=config_file) as program:
        row = _row(commlayer)
        while row["served_by"] is None or row["held"]["bulk"] < 3:
            assert program.child.returncode is None, program.child.output()
            time.sleep(0.2)
            row = _row(commlayer)
        assert (row["served_by"], row["state"], row["eta_s"]) == (f"127.0.0.1:{port}", "paused", None)
        details = commlayer("lanes", "show", "us").stdout
        assert "by ada" in details
        assert "bulk 3" in details
    commlayer("lanes", "resume", "us", environment=ADA)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("rate", "5", "--account", "main"), "change that of its lanes: us"),
        (("rate", "5", "--group", "us"), "has no rate of its own"),
        (("pause", "uss"), "did you mean `us`?"),
        (("pause",), "name one: a lane"),
        (("pause", "us", "--app", "shop"), "name one: a lane"),
        (("pause", "us", "--for", "yesterday"), "write a time from now"),
        (("pause", "us", "--for", "1000"), "has passed"),
        (
            ("rate", "us", "5"),
            "neither a number of segments per second nor `configured`; it comes before the lane",
        ),
        (("rate", "inf", "us"), "no rate"),
        (("pause", "us", "--for", "99999999999999999"), "is too far away"),
        (("resume", "us", "--for", "10m"), "belongs to pause and rate"),
        (("resume", "us"), "is not paused"),
        (("retry", "us", "de"), "is not refused for DE"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_fix(
    commlayer: Commlayer, on_kafka: Kafka, arguments: tuple[str, ...], told: str
) -> None:
    result = commlayer("lanes", *arguments, environment=ADA)
    assert result.exit_code == 2
    assert told in result.stderr


def test_nobody_switches_anything_without_a_name(commlayer: Commlayer, on_kafka: Kafka) -> None:
    result = commlayer("lanes", "pause", "us", environment={"USER": ""})
    assert result.exit_code == 2
    assert "--by NAME" in result.stderr


def test_a_broker_that_does_not_answer_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, commlayer: Commlayer
) -> None:
    monkeypatch.setattr("commlayer.lanes.control_log.ANSWER_WITHIN_S", 1.0)
    monkeypatch.setattr("commlayer.topic_writer.ANSWER_WITHIN_S", 1.0)
    for arguments in (("list",), ("pause", "us")):
        result = commlayer("lanes", *arguments, environment=ADA)
        assert result.exit_code == 1
        assert "Kafka at 127.0.0.1:1" in result.stderr


def test_a_plan_proposes_a_place_without_kafka(commlayer: Commlayer, config_file: Path) -> None:
    data = yaml.safe_load(config_file.read_text())
    data["senders"]["de"] = {**data["senders"]["us"], "address": "+4915112345678"}
    del data["senders"]["de"]["partition"]
    config_file.write_text(yaml.safe_dump(data))
    shown = commlayer("lanes", "plan")
    assert shown.exit_code == 0, shown.output
    assert "senders.de: partition: 1  (free)" in shown.stdout
    assert json.loads(commlayer("lanes", "plan", "--json").stdout)["free"] == [1]
    config_file.write_text(yaml.safe_dump({**data, "pools": {"all": ["us", "nobody"]}}))
    assert commlayer("lanes", "plan").exit_code == 2


def _configure(config_file: Path, port: int) -> None:
    data: dict[str, Any] = yaml.safe_load(config_file.read_text())
    data["health"]["dispatch"] = port
    config_file.write_text(yaml.safe_dump(data))


def _row(commlayer: Commlayer) -> dict[str, Any]:
    result = commlayer("lanes", "list", "--json")
    assert result.exit_code == 0, result.output
    row: dict[str, Any] = json.loads(result.stdout)["lanes"][0]
    return row
