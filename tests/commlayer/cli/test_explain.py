"""`commlayer explain`, on a real broker."""

from __future__ import annotations

import json
import time
import uuid

import pytest

from schemas import ids
from schemas.codec import SingleObjectCodec
from schemas.records import (
    Attempt,
    AttemptKind,
    ControlSubject,
    LifecycleEvent,
    MessageStatus,
    Stage,
)
from schemas.topics import ATTEMPTS, CONTROL, LIFECYCLE
from streams.control import places
from streams.control.switches import Aspect, control_key
from tests.commlayer.conftest import Commlayer
from tests.support.kafka import Kafka, Outgoing

TO = "+14155550123"


def event(message_id: str, status: MessageStatus, at: int, recipient: str | None = TO) -> LifecycleEvent:
    return LifecycleEvent(
        event_id=ids.lifecycle_event_id(message_id, 0, None, Stage.POLICY, status),
        message_id=message_id,
        round=0,
        stage=Stage.POLICY,
        status=status,
        at=at,
        app="shop",
        recipient=recipient,
    )


def written(kafka: Kafka, *events: LifecycleEvent) -> None:
    codec = SingleObjectCodec()
    kafka.produce(Outgoing(LIFECYCLE, codec.encode(each), each.message_id.encode()) for each in events)


def test_the_story_of_a_message_is_found_among_others(commlayer: Commlayer, on_kafka: Kafka) -> None:
    mine, other = str(uuid.uuid4()), str(uuid.uuid4())
    written(
        on_kafka, *(event(each, status, at) for at, status in enumerate((MessageStatus.ADMITTED, MessageStatus.SENT))
                    for each in (mine, other))
    )  # fmt: skip
    on_kafka.produce([Outgoing(LIFECYCLE, b"rubbish", mine.encode())])
    shown = commlayer("explain", mine)
    assert shown.exit_code == 0, shown.output
    assert "now: sent" in shown.stdout
    assert "1 records under this id could not be read" in shown.stdout
    assert other not in shown.stdout
    assert TO not in shown.stdout
    data = json.loads(commlayer("explain", mine, "--json").stdout)
    assert [step["status"] for step in data["steps"]] == ["admitted", "sent"]


def tried(message_id: str, lane: str, at: int, partition: int) -> Outgoing:
    intent = Attempt(
        kind=AttemptKind.INTENT,
        message_id=message_id,
        round=0,
        attempt=1,
        source_topic="comms.dispatch.bulk",
        source_offset=1,
        at=at,
        lane=lane,
        account="main",
        recipient=TO,
        segments=1,
        owner="here",
    )
    return Outgoing(ATTEMPTS, SingleObjectCodec().encode(intent), message_id.encode(), partition)


def test_the_attempts_of_a_message_are_found_where_its_lane_lies_and_where_it_lay(
    commlayer: Commlayer, on_kafka: Kafka
) -> None:
    """Lane us lies on partition 0, and has been on 1."""
    mine, other, now_ms = str(uuid.uuid4()), str(uuid.uuid4()), time.time_ns() // 1_000_000
    told = [event(each, MessageStatus.ADMITTED, now_ms - 50) for each in (mine, other)]
    for each in told:
        each.lane = "us"
    written(on_kafka, *told)
    on_kafka.produce([tried(other, "us", now_ms, 0), tried(mine, "us", now_ms, 0), tried(mine, "us", now_ms - 1, 1)])

    def times() -> list[int]:
        steps = json.loads(commlayer("explain", mine, "--json").stdout)["steps"]
        return [step["at"] - now_ms for step in steps if step["status"] == "intent"]

    assert times() == [0]
    key, moved = control_key(ControlSubject.GROUP, "us", Aspect.PLACE), places.moved("us", 0, by="me", at=1, since=1)
    on_kafka.produce([Outgoing(CONTROL, SingleObjectCodec().encode(moved), key, 0)])
    assert times() == [-1, 0]


def test_a_lane_that_is_gone_is_named_where_its_attempts_would_stand(commlayer: Commlayer, on_kafka: Kafka) -> None:
    message = str(uuid.uuid4())
    told = event(message, MessageStatus.ADMITTED, 5)
    told.lane = "gone"
    written(on_kafka, told)
    assert "attempts of lane gone are not shown: it is not configured any more" in commlayer("explain", message).stdout


def test_an_unknown_message_is_told_with_exit_code_1(commlayer: Commlayer, on_kafka: Kafka) -> None:
    assert commlayer("explain", str(uuid.uuid4())).exit_code == 1


def test_the_last_stories_of_a_person_come_from_all_partitions_oldest_first(
    commlayer: Commlayer, on_kafka: Kafka
) -> None:
    number = "+14155550177"
    messages = [str(uuid.uuid4()) for _ in range(5)]
    written(
        on_kafka,
        *(event(each, MessageStatus.ADMITTED, at, number) for at, each in enumerate(messages)),
        *(event(each, MessageStatus.SENT, 10 + at, None) for at, each in enumerate(messages)),
        event(str(uuid.uuid4()), MessageStatus.ADMITTED, 9),
    )
    shown = commlayer("explain", "--to", "+1 (415) 555-0177", "--last", "3", "--since", "1h", "--json")
    told = [json.loads(each) for each in shown.stdout.splitlines()]
    assert [each["message_id"] for each in told] == messages[-3:]
    assert {each["status"]["status"] for each in told} == {"sent"}
    assert commlayer("explain", "--to", number, "--since", "2100-01-01T00:00:00Z").exit_code == 1


@pytest.mark.parametrize("words", [(), ("--to", "4711"), ("x", "--to", TO), ("x", "--app", "shop")])
def test_what_cannot_be_meant_is_a_usage_error(commlayer: Commlayer, words: tuple[str, ...]) -> None:
    assert commlayer("explain", *words).exit_code == 2
