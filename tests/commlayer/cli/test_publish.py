"""`commlayer publish` on a real broker."""

from __future__ import annotations

import json
import time
import uuid
from pathlib import Path

import pytest

from schemas.codec import SingleObjectCodec
from schemas.ids import message_id_by_key, message_id_by_origin
from schemas.records import MessageRequest
from tests.commlayer.conftest import Commlayer
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
    assert result.exit_code == 1
    assert result.stdout.splitlines() == [message_id_by_key("shop", TO, f"{key}-{number}") for number in (1, 2)]
    errors = result.stderr.splitlines()
    assert [error.split(":")[0] for error in errors] == ["line 2", "line 3", "line 4", "line 5", "line 6"]
    assert "to: " in errors[0]
    assert "not JSON" in errors[1]
    assert "body: there is nothing to say. Fix: give a body" in errors[2]
    assert "no app is called `shpo`. Fix: did you mean `shop`?" in errors[3]
    assert "colour: is no parameter" in errors[4]
    assert the(on_kafka, f"{key}-2").content.body == "five"


def test_json_lines_tell_failures_in_their_place(commlayer: Commlayer, on_kafka: Kafka) -> None:
    text = '{"to": "+14155550123", "category": "news", "body": "x"}\n{"category": "news"}\n'
    result = commlayer("publish", "--app", "shop", "--json", input=text)
    assert result.exit_code == 1
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
