"""`commlayer cancel` on a real broker."""

from __future__ import annotations

import uuid

import pytest

from schemas.codec import SingleObjectCodec
from schemas.ids import message_id_by_key
from schemas.records import Cancellation
from tests.commlayer.conftest import Commlayer
from tests.support.kafka import Kafka, Stored

TO = "+14155550123"
MESSAGE = str(uuid.uuid4())


def of(kafka: Kafka, topic: str, reason: str) -> tuple[Stored, Cancellation]:
    ours = [each for each in kafka.consume_all(topic) if reason.encode() in (each.value or b"")]
    read = [(each, SingleObjectCodec().decode(each.value or b"")) for each in ours]
    [found] = [(each, what) for each, what in read if isinstance(what, Cancellation) and what.reason == reason]
    return found


@pytest.fixture
def mark() -> str:
    return str(uuid.uuid4())


def test_an_operator_takes_a_message_back_on_its_apps_topic(commlayer: Commlayer, on_kafka: Kafka, mark: str) -> None:
    done = commlayer("cancel", MESSAGE, "--app", "shop", "--to", "+1 (415) 555-0123", "--reason", mark)
    assert done.exit_code == 0, done.output
    assert f"asked to cancel {MESSAGE}" in done.stdout
    stored, record = of(on_kafka, "comms.requests.shop", mark)
    assert stored.key == TO.encode()
    assert (record.recipient, record.message_id, record.idempotency_key) == (TO, MESSAGE, None)


def test_by_key_and_on_the_urgent_topic(commlayer: Commlayer, on_kafka: Kafka, mark: str) -> None:
    done = commlayer("cancel", "--key", "row-7", "--app", "shop", "--to", TO, "--reason", mark, "--urgent")
    assert message_id_by_key("shop", TO, "row-7") in done.stdout
    _, record = of(on_kafka, "comms.requests.shop.urgent", mark)
    assert (record.message_id, record.idempotency_key) == (None, "row-7")


def test_what_cannot_name_a_message_is_refused(commlayer: Commlayer) -> None:
    assert "by its id, or by --key" in commlayer("cancel", "--app", "shop", "--to", TO).stderr
    assert commlayer("cancel", MESSAGE, "--key", "k", "--app", "shop", "--to", TO).exit_code == 2
    wrong = commlayer("cancel", MESSAGE, "--app", "shpo", "--to", TO)
    assert wrong.exit_code == 2
    assert "did you mean `shop`?" in wrong.stderr
    number = commlayer("cancel", MESSAGE, "--app", "shop", "--to", "nobody")
    assert number.exit_code == 2
    assert "no telephone number" in number.stderr


@pytest.mark.parametrize("command", [("status",), ("explain",), ("cancel", "--app", "shop", "--to", TO)])
def test_what_is_no_message_id_is_refused_without_asking_kafka(commlayer: Commlayer, command: tuple[str, ...]) -> None:
    result = commlayer(*command, "order-17")
    assert result.exit_code == 2
    assert "`order-17` is no message id" in result.stderr
