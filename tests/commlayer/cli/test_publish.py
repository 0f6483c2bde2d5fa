"""`commlayer publish` on a real broker."""

from __future__ import annotations

import json
import socket
import time
import uuid
from pathlib import Path

import pytest
from commlayer_client import MessageFields

from commlayer.cli.publish import command as publish
from schemas.codec import SingleObjectCodec
from schemas.ids import message_id_by_key, message_id_by_origin
from schemas.records import Channel, MessageRequest
from tests.commlayer.conftest import Commlayer
from tests.commlayer.programs import Program
from tests.support.kafka import Kafka

TO = "+14155550123"


def requests(kafka: Kafka, *, urgent: bool = False) -> list[MessageRequest]:
    stored = kafka.consume_all("comms.requests.shop" + (".urgent" if urgent else ""))
    records = [SingleObjectCodec().decode(record.value or b"") for record in stored]
    return [record for record in records if isinstance(record, MessageRequest)]


def the(kafka: Kafka, key: str, *, urgent: bool = False) -> MessageRequest:
    [found] = [each for each in requests(kafka, urgent=urgent) if each.idempotency_key == key]
    return found


@pytest.fixture
def key() -> str:
    return str(uuid.uuid4())


def test_one_message_by_options_prints_its_id(commlayer: Commlayer, on_kafka: Kafka, key: str) -> None:
    began_ms = time.time_ns() // 1_000_000
    result = commlayer(
        *("publish", "--app", "shop", "--to", "+1 (415) 555-0123", "--category", "news", "--body", "Hello"),
        *("--key", key, "--campaign", "xmas", "--tag", "team=growth", "--tag", "a=b=c", "--deadline", "2h"),
    )
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{message_id_by_key('shop', TO, key)}\n"
    request = the(on_kafka, key)
    assert (request.recipient, request.category, request.content.body) == (TO, "news", "Hello")
    assert (request.campaign, request.tags) == ("xmas", {"team": "growth", "a": "b=c"})
    assert request.deadline is not None
    assert 0 <= request.deadline - began_ms - 7_200_000 < 600_000


def test_every_parameter_of_a_request_has_its_option() -> None:
    options = {option.name for option in publish.params}
    assert set(MessageFields.__annotations__) - {"traceparent"} <= options


def test_options_of_templates_channels_and_twilio_reach_the_request(
    commlayer: Commlayer, on_kafka: Kafka, key: str
) -> None:
    result = commlayer(
        *("publish", "--app", "shop", "--to", "(415) 555-0123", "--region", "us", "--category", "news", "--body", "Hi"),
        *("--key", key, "--fallback-channel", "whatsapp", "--fallback-channel", "mms", "--recipient-id", "c-1"),
        *("--locale", "de-CH", "--validity", "600", "--no-smart-encoding", "--shorten-urls"),
    )
    assert result.exit_code == 0, result.output
    request = the(on_kafka, key)
    assert (request.fallback_channels, request.recipient_id) == ([Channel.WHATSAPP, Channel.MMS], "c-1")
    assert (request.locale, request.validity_period_s) == ("de-CH", 600)
    assert (request.smart_encoding, request.shorten_urls) == (False, True)


def test_critical_categories_use_the_urgent_topic_unless_told_otherwise(
    commlayer: Commlayer, on_kafka: Kafka, key: str
) -> None:
    message = ("publish", "--app", "shop", "--to", TO, "--category", "otp", "--body", "Your code is 4711")
    assert commlayer(*message, "--key", key).exit_code == 0
    assert the(on_kafka, key, urgent=True).category == "otp"
    assert commlayer(*message, "--key", f"{key}-slow", "--no-urgent").exit_code == 0
    assert the(on_kafka, f"{key}-slow").category == "otp"


def test_json_tells_where_the_request_lies(commlayer: Commlayer, on_kafka: Kafka) -> None:
    result = commlayer(*("publish", "--app", "shop", "--to", TO, "--category", "news", "--body", "Hello", "--json"))
    told = json.loads(result.stdout)
    assert told["topic"] == "comms.requests.shop"
    assert told["message_id"] == message_id_by_key("shop", TO, told["idempotency_key"])
    assert told["message_id"] != message_id_by_origin(told["topic"], told["partition"], told["offset"])


def test_lines_are_published_in_order_and_bad_ones_told_by_number(
    commlayer: Commlayer, on_kafka: Kafka, key: str
) -> None:
    lines = [
        {"to": TO, "category": "news", "body": "one", "idempotency_key": f"{key}-1"},
        {"to": "not a number", "category": "news", "body": "two"},
        "nonsense",
        {"to": TO, "category": "news"},
        {"app": "shpo", "to": TO, "category": "news", "body": "three"},
        {"to": TO, "category": "news", "body": "four", "colour": "red"},
        {"app": "shop", "to": TO, "category": "news", "body": "five", "idempotency_key": f"{key}-2", "deadline": "1h"},
    ]
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    result = commlayer("publish", "--app", "shop", input=text)
    assert result.exit_code == 2  # trying again would not help
    assert result.stdout.splitlines() == [message_id_by_key("shop", TO, f"{key}-{number}") for number in (1, 2)]
    errors = result.stderr.splitlines()
    assert [error.split(":")[0] for error in errors] == ["line 2", "line 3", "line 4", "line 5", "line 6"]
    assert "to: " in errors[0]
    assert "not JSON" in errors[1]
    assert "body: there is nothing to say. Fix: give a body" in errors[2]
    assert "no app is called `shpo`. Fix: did you mean `shop`?" in errors[3]
    assert "colour: is no parameter" in errors[4]
    assert the(on_kafka, f"{key}-2").content.body == "five"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("category", ["news"]),
        ("traceparent", 7),
        ("urgent", "no"),
        ("deadline", 10**30),
        ("deadline", "999999999999d"),
        ("body", "\ud83d"),
        ("idempotency_key", {"a": 1}),
        ("tags", "team"),
        ("to", 14155550123),
        ("app", {}),
    ],
)
def test_a_field_of_a_wrong_type_costs_its_own_line_only(
    commlayer: Commlayer, on_kafka: Kafka, key: str, field: str, value: object
) -> None:
    good = {"to": TO, "category": "news", "body": "x", "idempotency_key": key}
    lines = [good | {field: value}, good]
    result = commlayer("publish", "--app", "shop", input="\n".join(map(json.dumps, lines)))
    assert (result.exit_code, result.stdout) == (2, f"{message_id_by_key('shop', TO, key)}\n"), result.output
    assert result.stderr.startswith(f"line 1: {field}: ")
    assert ". Fix: " in result.stderr


def test_lines_that_are_no_lines_at_all_cost_nothing_but_themselves(
    commlayer: Commlayer, on_kafka: Kafka, key: str
) -> None:
    good = json.dumps({"to": TO, "category": "news", "body": "x", "idempotency_key": key}).encode()
    text = b"\n".join((b"[" * 100_000, b'{"to": "\xff"}', good))
    result = commlayer("publish", "--app", "shop", input=text)
    assert (result.exit_code, result.stdout) == (2, f"{message_id_by_key('shop', TO, key)}\n"), result.output
    assert [line.partition(". Fix")[0] for line in result.stderr.splitlines()] == [
        "line 1: nested too deeply",
        "line 2: not UTF-8 at byte 8",
    ]


@pytest.mark.parametrize("text", ["", "\n  \n"])
def test_nothing_to_publish_is_a_mistake(commlayer: Commlayer, text: str) -> None:
    result = commlayer("publish", "--app", "shop", input=text)
    assert result.exit_code == 2
    assert "nothing to publish: standard input is empty" in result.stderr


def test_json_lines_tell_failures_in_their_place(commlayer: Commlayer, on_kafka: Kafka) -> None:
    text = '{"to": "+14155550123", "category": "news", "body": "x"}\n{"category": "news"}\n'
    result = commlayer("publish", "--app", "shop", "--json", input=text)
    assert result.exit_code == 2
    good, bad = map(json.loads, result.stdout.splitlines())
    assert (good["line"], bad["line"], bad["fate"]) == (1, 2, "not published")
    assert bad["error"].startswith("to: ")


def test_thousands_of_lines_are_published(commlayer: Commlayer, on_kafka: Kafka, key: str) -> None:
    count = 2_500
    lines = [{"to": TO, "category": "news", "body": "x", "campaign": key} for _ in range(count)]
    result = commlayer("publish", "--app", "shop", input="\n".join(map(json.dumps, lines)))
    assert result.exit_code == 0, result.stderr[:500]
    assert len(set(result.stdout.splitlines())) == count
    assert sum(each.campaign == key for each in requests(on_kafka)) == count


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--to", TO, "--category", "news", "--body", "x"], "--app is missing"),
        (["--app", "shop", "--body", "x"], "--to is missing beside body"),
        (["--app", "shop", "--to", TO, "--deadline", "soon"], "`soon` is no moment: write a time from now"),
        (["--app", "shp", "--to", TO, "--category", "news"], "no app is called `shp`. Fix: did you mean `shop`?\n"),
        (
            ["--app", "shop", "--to", TO, "--category", "nws"],
            "category: `nws` is not known. Fix: did you mean `news`?\n",
        ),
        (["--app", "shop", "--to", TO, "--category", "otp", "--sender", "usa"], "sender: `usa` is not known"),
        (["--app", "shop", "--to", TO, "--category", "otp", "--pool", "al"], "pool: `al` is not known. Fix: did you"),
        (["--app", "shop", "--to", TO, "--category", "otp", "--template", "hi"], "Fix: configure it.\n"),
        (
            ["--app", "shop", "--to", "415 555 0123", "--category", "otp", "--body", "x"],
            "name its country by --region.",
        ),
        (["--app", "shop", "--to", TO, "--tag", "nothing"], "`nothing` is not key=value"),
        (["--app", "shop", "--to", TO, "--category", "news", "--body", "x", "--region", "XX"], "ISO 3166"),
    ],
)
def test_options_that_cannot_be_right_are_usage_errors(
    commlayer: Commlayer, arguments: list[str], message: str
) -> None:
    result = commlayer("publish", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_broker_that_does_not_answer_leaves_the_fate_open_and_says_how_to_repeat(commlayer: Commlayer) -> None:
    result = commlayer(
        *("publish", "--app", "shop", "--to", TO, "--category", "news", "--body", "Your code is 4711"),
        *("--timeout", "1", "--key", "order-1"),
    )
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "repeat it with --key order-1" in result.stderr
    assert "4711" not in result.stderr
    assert TO not in result.stderr


@pytest.mark.parametrize("away", ["refuses", "is silent"])
def test_a_person_is_told_in_one_line_that_kafka_is_away_and_not_kept_waiting(config_file: Path, away: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes connections, and says nothing
        port = silent.getsockname()[1] if away == "is silent" else 1
        config_file.write_text(config_file.read_text().replace("127.0.0.1:1\n", f"127.0.0.1:{port}\n"))
        message = ("--app", "shop", "--to", TO, "--category", "news", "--body", "x", "--timeout", "1")
        with Program("publish", *message, config=config_file) as program:
            assert program.child.wait(30) == 1, program.child.output()
            [line] = program.lines()
    assert line.startswith(("error: no broker answers at 127.0.0.1:", "error: no acknowledgement within 1000 ms"))


def test_with_a_registry_the_wire_format_is_confluents(
    commlayer: Commlayer, on_kafka: Kafka, config_file: Path, registry_url: str, key: str
) -> None:
    config_file.write_text(config_file.read_text() + f"registry: {{url: {registry_url}}}\n")
    assert commlayer("schemas", "register").exit_code == 0
    result = commlayer(
        *("publish", "--app", "shop", "--to", TO, "--category", "news", "--body", "x", "--key", key, "--json")
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    [stored] = [
        record
        for record in on_kafka.consume_all(told["topic"])
        if (record.partition, record.offset) == (told["partition"], told["offset"])
    ]
    assert stored.value is not None
    assert stored.value[:1] == b"\0"


def test_a_registry_that_is_away_is_told_in_one_line(commlayer: Commlayer, on_kafka: Kafka, config_file: Path) -> None:
    config_file.write_text(config_file.read_text() + "registry: {url: 'http://127.0.0.1:1/apis/ccompat/v7'}\n")
    result = commlayer("publish", "--app", "shop", "--to", TO, "--category", "news", "--body", "x")
    assert result.exit_code == 1
    assert "error: http://127.0.0.1:1/apis/ccompat/v7" in result.stderr
    assert "fix: nothing was published" in result.stderr
    assert "Traceback" not in result.stderr
