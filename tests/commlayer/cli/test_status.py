"""`commlayer status` on a real broker."""

from __future__ import annotations

import json
import threading
import uuid
from pathlib import Path

import pytest

from schemas.codec import RegistryCodec, SingleObjectCodec
from schemas.records import Channel, MessageClass, MessageStatus, StatusUpdate
from schemas.registry import Registry
from schemas.topics import FEEDBACK_STATUS
from tests.commlayer.conftest import Commlayer
from tests.support.kafka import Kafka, Outgoing

START = 1_700_000_000_000


def update(message_id: str, status: MessageStatus, *, final: bool = False, after_ms: int = 0) -> StatusUpdate:
    return StatusUpdate(
        message_id=message_id,
        app="shop",
        status=status,
        is_final=final,
        round=0,
        attempts=1,
        recipient="+14155550123",
        channel=Channel.SMS,
        lane="us",
        message_class=MessageClass.BULK,
        sid="SM" + "1" * 32,
        segments=2,
        tags={"team": "growth"},
        requested_at=START,
        updated_at=START + after_ms,
    )


def written(kafka: Kafka, *updates: StatusUpdate) -> None:
    codec = SingleObjectCodec()
    kafka.produce(Outgoing(FEEDBACK_STATUS, codec.encode(each), each.message_id.encode()) for each in updates)


@pytest.fixture
def message_id() -> str:
    return str(uuid.uuid4())


def test_the_last_update_is_shown_as_a_table_with_the_number_masked(
    commlayer: Commlayer, on_kafka: Kafka, message_id: str
) -> None:
    others = [update(str(uuid.uuid4()), MessageStatus.FAILED, final=True) for _ in range(20)]
    written(
        on_kafka,
        update(message_id, MessageStatus.ADMITTED),
        *others,
        update(message_id, MessageStatus.DELIVERED, final=True, after_ms=1500),
        *others,
    )
    result = commlayer("status", message_id)
    assert result.exit_code == 0
    rows = dict(line.split("  ", 1) for line in result.stdout.splitlines())
    rows = {name.strip(): value.strip() for name, value in rows.items()}
    assert rows["message id"] == message_id
    assert rows["status"] == "delivered (final)"
    assert rows["recipient"] == "+1********23"
    assert (rows["class"], rows["SID"]) == ("bulk", "SM" + "1" * 32)
    assert rows["tag team"] == "growth"
    assert rows["updated"] == "2023-11-14T22:13:21.500Z"


def test_json_has_the_whole_update(commlayer: Commlayer, on_kafka: Kafka, message_id: str) -> None:
    written(on_kafka, update(message_id, MessageStatus.SENT))
    shown = json.loads(commlayer("status", message_id, "--json").stdout)
    assert (shown["status"], shown["recipient"], shown["segments"]) == ("sent", "+14155550123", 2)


def test_an_unknown_message_is_told_with_exit_code_1(commlayer: Commlayer, on_kafka: Kafka, message_id: str) -> None:
    result = commlayer("status", message_id)
    assert result.exit_code == 1
    assert f"nothing is known of message {message_id}" in result.stderr
    assert "fix: check the id" in result.stderr


def test_wait_returns_with_the_final_status_as_soon_as_it_is_there(
    commlayer: Commlayer, on_kafka: Kafka, message_id: str
) -> None:
    written(on_kafka, update(message_id, MessageStatus.QUEUED))
    final = update(message_id, MessageStatus.UNDELIVERED, final=True)
    timer = threading.Timer(1.0, written, (on_kafka, final))
    timer.start()
    result = commlayer("status", message_id, "--wait", "60")
    timer.join()
    assert result.exit_code == 0
    assert "undelivered (final)" in result.stdout


def test_wait_gives_up_with_exit_code_1_and_what_is_known(
    commlayer: Commlayer, on_kafka: Kafka, message_id: str
) -> None:
    written(on_kafka, update(message_id, MessageStatus.QUEUED))
    result = commlayer("status", message_id, "--wait", "0.5")
    assert result.exit_code == 1
    assert "queued" in result.stdout


def test_follow_prints_every_change_until_the_end(commlayer: Commlayer, on_kafka: Kafka, message_id: str) -> None:
    written(
        on_kafka,
        update(message_id, MessageStatus.ADMITTED),
        update(message_id, MessageStatus.SENT, after_ms=1),
        update(message_id, MessageStatus.DELIVERED, final=True, after_ms=2),
    )
    lines = commlayer("status", message_id, "--follow").stdout.splitlines()
    assert [line.split("  ")[1] for line in lines] == ["admitted", "sent", "delivered"]
    assert lines[-1].endswith("(final)")
    as_json = commlayer("status", message_id, "--follow", "--json").stdout.splitlines()
    assert [json.loads(line)["status"] for line in as_json] == ["admitted", "sent", "delivered"]


def test_records_of_a_registry_are_read_as_well(
    commlayer: Commlayer, on_kafka: Kafka, message_id: str, registry_url: str, config_file: Path
) -> None:
    codec = RegistryCodec(Registry(registry_url))
    codec.prepare(register=True)
    record = update(message_id, MessageStatus.READ, final=True)
    on_kafka.produce([Outgoing(FEEDBACK_STATUS, codec.encode(record), message_id.encode())])
    config_file.write_text(config_file.read_text() + f"registry: {{url: {registry_url}}}\n")
    assert "read (final)" in commlayer("status", message_id).stdout


def test_a_broker_that_does_not_answer_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, commlayer: Commlayer, message_id: str
) -> None:
    monkeypatch.setattr("commlayer.topic_reader.ANSWER_WITHIN_S", 1.0)
    result = commlayer("status", message_id)
    assert result.exit_code == 1
    assert "Kafka at 127.0.0.1:1" in result.stderr
    assert "fix: check kafka.bootstrap" in result.stderr
