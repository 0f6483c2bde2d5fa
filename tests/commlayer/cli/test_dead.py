"""`commlayer dead` on a real broker."""

from __future__ import annotations

import json
import uuid
from typing import Any

import pytest

from connectors.kafka.origin import ORIGIN_HEADER, origin_of
from connectors.kafka.partitioning import partition_of
from schemas import ids
from schemas.codec import SingleObjectCodec
from schemas.records import (
    Content,
    DeadLetter,
    Deferral,
    HandledLetter,
    LetterAction,
    LifecycleEvent,
    MessageRequest,
    MessageStatus,
    Stage,
)
from schemas.topics import DEAD, LIFECYCLE
from streams.policy.decide import decide
from streams.policy.verdict import Admitted
from streams.rounds import request_of
from tests.commlayer.conftest import Commlayer
from tests.streams.policy.installation import NOW, config, entry, request
from tests.support.kafka import Kafka, Outgoing, Stored

TOPIC = "comms.requests.shop"
TO = "+14155550123"
CODEC = SingleObjectCodec()


@pytest.fixture
def letter(on_kafka: Kafka) -> DeadLetter:
    """The letter about a request in the log, which has an id no other test uses."""
    wanted = MessageRequest(recipient=TO, category="otp", content=Content(body="your code is 4711"), created_at=1)
    value = CODEC.encode(wanted)
    elsewhere = 1 - partition_of(TO.encode(), 2)  # so that the key alone would not find the partition again
    headers = [("traceparent", b"x")]
    [(_, partition, offset)] = on_kafka.produce([Outgoing(TOPIC, value, TO.encode(), elsewhere, headers)])
    return DeadLetter(
        stage=Stage.POLICY,
        reason="unknown_schema",
        detail=f"a record to {TO}",
        source_topic=TOPIC,
        source_partition=partition,
        source_offset=offset,
        key=TO.encode(),
        value=value,
        value_size=len(value),
        headers={"traceparent": b"x"},
        app="shop",
        at=1_700_000_000_000,
        replayable=True,
    )


def put(kafka: Kafka, *letters: DeadLetter) -> str:
    kafka.produce(Outgoing(DEAD, CODEC.encode(each), each.key) for each in letters)
    return f"{TOPIC}:{letters[0].source_partition}:{letters[0].source_offset}"


def listed(commlayer: Commlayer, *options: str) -> dict[str, Any]:
    shown = commlayer("dead", "list", "--json", *options)
    assert shown.exit_code == 0, shown.output
    return {told["letter"]: told for told in map(json.loads, shown.stdout.splitlines())}


def test_the_name_of_a_letter_stays_whole_in_a_narrow_terminal(
    commlayer: Commlayer, on_kafka: Kafka, letter: DeadLetter
) -> None:
    name = put(on_kafka, letter)
    shown = commlayer("dead", "list", environment={"COLUMNS": "80"})
    assert shown.exit_code == 0, shown.output
    assert name in shown.stdout
    assert max(map(len, shown.stdout.splitlines())) <= 80


def last_request(kafka: Kafka) -> Stored:
    return max((each for each in kafka.consume_all(TOPIC)), key=lambda stored: (stored.timestamp_ms, stored.offset))


def test_a_replayed_record_is_the_same_message_in_the_same_partition(
    commlayer: Commlayer, on_kafka: Kafka, letter: DeadLetter
) -> None:
    name = put(on_kafka, letter, letter)
    assert listed(commlayer)[name]["times"] == 2
    before = len(on_kafka.consume_all(TOPIC))
    done = commlayer("dead", "replay", name, "--by", "ann", "--why", "schema registered")
    assert done.exit_code == 0, done.output
    again = last_request(on_kafka)
    assert (again.partition, again.key, again.value) == (letter.source_partition, letter.key, letter.value)
    assert dict(again.headers) == {"traceparent": b"x", ORIGIN_HEADER: name.encode()}
    first = ids.message_id_by_origin(TOPIC, letter.source_partition, letter.source_offset)
    assert ids.message_id_by_origin(*origin_of(again)) == first  # type: ignore[arg-type]  # has all that is read of it
    assert name not in listed(commlayer)
    told = listed(commlayer, "--all")[name]["handled"]
    assert (told["action"], told["by"], told["new_offset"]) == ("replayed", "ann", again.offset)

    asked = commlayer("dead", "replay", name, "--by", "ann", input="n\n")
    assert asked.exit_code == 1
    assert "was replayed by ann already" in asked.output
    assert len(on_kafka.consume_all(TOPIC)) == before + 1
    assert commlayer("dead", "replay", name, "--by", "ann", "--yes").exit_code == 0
    assert len(on_kafka.consume_all(TOPIC)) == before + 2


def test_a_replay_asks_policy_about_a_message_that_was_on_its_way_to_dispatch(
    commlayer: Commlayer, on_kafka: Kafka, letter: DeadLetter
) -> None:
    made = decide(request(recipient=TO), entry(message_id=str(uuid.uuid4())), config(), NOW)
    assert isinstance(made, Admitted)
    order = made.dispatch
    letter.source_topic, letter.value = "comms.dispatch.critical", CODEC.encode(order)
    letter.value_size = len(letter.value)
    put(on_kafka, letter)
    name = f"comms.dispatch.critical:{letter.source_partition}:{letter.source_offset}"
    before = on_kafka.end_offsets(letter.source_topic)
    deferred = on_kafka.end_offsets("comms.deferred.1s")
    assert commlayer("dead", "replay", name, "--by", "ann").exit_code == 0
    assert on_kafka.end_offsets(letter.source_topic) == before
    new = [each for each in on_kafka.consume_all("comms.deferred.1s") if each.offset >= deferred[each.partition]]
    back = [CODEC.decode(each.value or b"") for each in new]
    [deferral] = [each for each in back if isinstance(each, Deferral) and each.message_id == order.message_id]
    assert (deferral.round, deferral.by, deferral.request) == (1, Stage.OPERATOR, request_of(order))
    assert name not in listed(commlayer)


def test_what_a_replay_cannot_mend_is_refused_and_nothing_is_written(
    commlayer: Commlayer, on_kafka: Kafka, letter: DeadLetter
) -> None:
    letter.replayable = False
    name = put(on_kafka, letter)
    before = len(on_kafka.consume_all(TOPIC))
    refused = commlayer("dead", "replay", name, "--by", "ann", "--yes")
    assert refused.exit_code == 2
    assert "--force" in refused.stderr
    assert len(on_kafka.consume_all(TOPIC)) == before
    assert name in listed(commlayer)
    assert commlayer("dead", "replay", name, "--by", "ann", "--force").exit_code == 0


def test_a_dropped_letter_is_closed_and_stands_in_the_story_of_its_message(
    commlayer: Commlayer, on_kafka: Kafka, letter: DeadLetter
) -> None:
    letter.message_id = str(uuid.uuid4())
    event = LifecycleEvent(
        event_id="e", message_id=letter.message_id, round=0, stage=Stage.POLICY,
        status=MessageStatus.ADMITTED, at=1, app="shop",
    )  # fmt: skip
    on_kafka.produce([Outgoing(LIFECYCLE, CODEC.encode(event), letter.message_id.encode())])
    name = put(on_kafka, letter)
    assert commlayer("dead", "drop", name, "--by", "ann", "--why", "sent anew").exit_code == 0
    assert name not in listed(commlayer)
    records = [CODEC.decode(each.value or b"") for each in on_kafka.consume_all(DEAD)]
    marks = [record for record in records if isinstance(record, HandledLetter)]
    assert marks[-1].action is LetterAction.DROPPED
    story = commlayer("explain", letter.message_id).stdout
    assert "dropped by ann: sent anew" in story
    assert "now: admitted" in story


def test_filters_choose_and_several_are_asked_about(commlayer: Commlayer, on_kafka: Kafka, letter: DeadLetter) -> None:
    letter.reason = "oversized"
    name = put(on_kafka, letter)
    letter.source_offset += 1_000_000
    put(on_kafka, letter)
    assert name in listed(commlayer, "--reason", "oversized", "--app", "shop", "--topic", TOPIC, "--stage", "policy")
    assert listed(commlayer, "--reason", "oversized", "--app", "login") == {}
    assert listed(commlayer, "--since", "2100-01-01T00:00:00Z") == {}
    assert commlayer("dead", "drop", "--reason", "oversized", "--by", "ann", input="n\n").exit_code == 1
    assert name in listed(commlayer)
    assert commlayer("dead", "drop", "--reason", "oversized", "--by", "ann", "--yes").exit_code == 0
    assert listed(commlayer, "--reason", "oversized") == {}


def test_texts_and_numbers_are_hidden_until_the_value_is_asked_for(
    commlayer: Commlayer, on_kafka: Kafka, letter: DeadLetter
) -> None:
    name = put(on_kafka, letter)
    for shown in (
        commlayer("dead", "list"),
        commlayer("dead", "show", name),
        commlayer("dead", "show", name, "--json"),
    ):
        assert shown.exit_code == 0
        assert name.split(":")[0] in shown.stdout
        assert TO not in shown.stdout
        assert "4711" not in shown.stdout
    whole = commlayer("dead", "show", name, "--value", "--json")
    assert json.loads(whole.stdout)["value"]["content"]["body"] == "your code is 4711"


@pytest.mark.parametrize("what", ["replay", "drop"])
def test_neither_all_letters_nor_unknown_ones_are_acted_on(commlayer: Commlayer, on_kafka: Kafka, what: str) -> None:
    assert commlayer("dead", what, "--by", "ann", "--yes").exit_code == 2
    assert commlayer("dead", what, "comms.requests.shop:0:987654", "--by", "ann").exit_code == 1
