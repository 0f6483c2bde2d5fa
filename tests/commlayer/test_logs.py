"""Nothing leaves through the log that must not: no content, no secrets, no whole phone numbers."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from commlayer import logs
from schemas.records import Content, MessageRequest

BODY = "Your code is SESAME"
NUMBER = "+14155550123"
MASKED = "+1********23"
Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    buffer = io.StringIO()
    logs.configure("policy", stream=buffer, environment={}, secrets=["t0ken-of-the-account", "abc"])
    yield buffer
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.fixture
def lines(stream: io.StringIO) -> Lines:
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_time_level_process_and_event(lines: Lines) -> None:
    structlog.get_logger("streams.policy").info("admitted", app="shop", lane="us-short", took_ms=3)
    [line] = lines()
    assert list(line)[:4] == ["timestamp", "level", "process", "event"]
    assert line["timestamp"].endswith("Z")
    assert {key: line[key] for key in ("level", "process", "event", "logger", "app", "took_ms")} == {
        "level": "info",
        "process": "policy",
        "event": "admitted",
        "logger": "streams.policy",
        "app": "shop",
        "took_ms": 3,
    }


def test_the_standard_library_speaks_through_the_same_net(lines: Lines) -> None:
    logging.getLogger("somewhere").warning("cannot reach %s", NUMBER, extra={"body": BODY})
    [line] = lines()
    assert line["event"] == f"cannot reach {MASKED}"
    assert line["body"] == logs.HIDDEN
    assert line["process"] == "policy"


@pytest.mark.parametrize(
    "written",
    [
        NUMBER,
        f"whatsapp:{NUMBER}",
        "To=%2B14155550123&From=x",
        "+1 (415) 555-0123",
        "+1-415-555-0123",
        f"x{NUMBER}, {NUMBER}",
    ],
)
def test_a_number_is_masked_in_messages_and_values_alike(stream: io.StringIO, written: str) -> None:
    structlog.get_logger().info(
        f"to {written}", to=written, nested={"list": [written, {"deep": (written,)}], written: 1}
    )
    assert "5550123" not in stream.getvalue()
    assert "555-0123" not in stream.getvalue()
    assert "23" in stream.getvalue()


def test_times_offsets_and_ids_are_not_taken_for_numbers(lines: Lines) -> None:
    structlog.get_logger().info(
        "at 2026-11-23T18:00:00+00:00", offset=12345678901, sid="SM12345678901234567890123456789012"
    )
    [line] = lines()
    assert line["event"] == "at 2026-11-23T18:00:00+00:00"
    assert line["offset"] == 12345678901
    assert line["sid"] == "SM12345678901234567890123456789012"


@pytest.mark.parametrize(
    "key",
    [
        "body",
        "text",
        "Body",
        "content",
        "auth_token",
        "password",
        "sasl_password",
        "secret",
        "authorization",
        "media_url",
        "content_variables",
        "params",
        "payload",
        "request_body",
        "credentials",
    ],
)
def test_a_field_of_content_or_secrets_is_emptied_at_any_depth(stream: io.StringIO, key: str) -> None:
    structlog.get_logger().info("something", **{key: BODY}, n={"inner": [{key: BODY}]})
    assert "SESAME" not in stream.getvalue()
    assert stream.getvalue().count(logs.HIDDEN) == 2


def test_a_record_is_named_never_printed(stream: io.StringIO) -> None:
    request = MessageRequest(recipient=NUMBER, category="otp", content=Content(body=BODY), created_at=1_700_000_000_000)
    structlog.get_logger().info("odd record", record=request, several=[request], raw=b"Your code is SESAME")
    logging.getLogger("x").error("odd record", extra={"record_": request})
    assert "SESAME" not in stream.getvalue()
    assert "<MessageRequest>" in stream.getvalue()
    assert "<19 bytes>" in stream.getvalue()


def test_the_secrets_of_this_process_are_blotted_out_wherever_they_turn_up(stream: io.StringIO) -> None:
    structlog.get_logger().info(
        "login as x:t0ken-of-the-account", url="https://x:t0ken-of-the-account@host/", short="abc"
    )
    try:
        raise RuntimeError("refused t0ken-of-the-account")
    except RuntimeError:
        structlog.get_logger().exception("failed")
    assert "t0ken" not in stream.getvalue()
    assert '"short":"abc"' in stream.getvalue()


def test_an_exception_is_told_without_local_variables_and_with_masked_numbers(lines: Lines) -> None:
    def fail(body: str) -> None:
        raise ValueError(f"no route to {NUMBER}")

    try:
        fail(BODY)
    except ValueError:
        structlog.get_logger().exception("failed")
    [line] = lines()
    assert "SESAME" not in line["exception"]
    assert f"ValueError: no route to {MASKED}" in line["exception"]


@pytest.mark.parametrize("name", ["faust.app", "aiokafka.consumer.fetcher", "mode.worker", "aiohttp.server"])
def test_libraries_speak_from_warning_on(lines: Lines, name: str) -> None:
    logging.getLogger(name).info("inner life")
    logging.getLogger(name).warning("trouble")
    assert [line["event"] for line in lines()] == ["trouble"]


def test_the_coming_and_going_of_fausts_services_is_told_at_debug_only(lines: Lines) -> None:
    logging.getLogger("connectors.kafka.app").info("[^%s]: %s", "StageApp", "Starting...")
    logging.getLogger("connectors.kafka.app").warning("[^%s]: %s", "StageApp", "is slow")
    assert [line["event"] for line in lines()] == ["[^StageApp]: is slow"]
    buffer = io.StringIO()
    logs.configure("policy", stream=buffer, environment={"COMMLAYER_LOG_LEVEL": "debug"})
    logging.getLogger("connectors.kafka.app").info("[^%s]: %s", "StageApp", "Starting...")
    assert "[^StageApp]: Starting..." in buffer.getvalue()


@pytest.mark.parametrize("name", ["aiohttp.access", "twilio.async_http_client"])
def test_loggers_of_urls_and_bodies_are_silent(stream: io.StringIO, name: str) -> None:
    logging.getLogger(name).error("POST /Messages.json Body=Your+code+is+SESAME")
    assert stream.getvalue() == ""


def test_warnings_of_python_are_log_lines(lines: Lines) -> None:
    logging.getLogger("py.warnings").warning("%s", f"DeprecationWarning near {NUMBER}")
    [line] = lines()
    assert line["event"] == f"DeprecationWarning near {MASKED}"


def test_the_level_comes_from_the_environment() -> None:
    buffer = io.StringIO()
    logs.configure("policy", stream=buffer, environment={"COMMLAYER_LOG_LEVEL": "error"})
    structlog.get_logger("x").warning("not said")
    structlog.get_logger("x").error("said")
    assert [json.loads(line)["event"] for line in buffer.getvalue().splitlines()] == ["said"]


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"COMMLAYER_LOG_LEVEL": "loud"}, "COMMLAYER_LOG_LEVEL is 'loud'; write one of: debug, info, warning, error"),
        ({"COMMLAYER_LOG_FORMAT": "xml"}, "COMMLAYER_LOG_FORMAT is 'xml'; write json or text"),
    ],
)
def test_an_unknown_level_or_format_is_refused_with_the_choices(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        logs.configure("policy", stream=io.StringIO(), environment=environment)


def test_on_a_terminal_lines_are_readable_and_just_as_safe(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = io.StringIO()
    logs.configure("policy", stream=buffer, environment={"COMMLAYER_LOG_FORMAT": "text"}, secrets=["t0ken-of-it"])

    def fail(body: str) -> None:
        raise ValueError(f"no route to {NUMBER}")

    try:
        fail(BODY)
    except ValueError:
        structlog.get_logger("x").exception("failed t0ken-of-it", to=NUMBER, body=BODY)
    shown = buffer.getvalue()
    assert MASKED in shown
    assert "ValueError" in shown
    for hidden in (NUMBER, "SESAME", "t0ken"):
        assert hidden not in shown
