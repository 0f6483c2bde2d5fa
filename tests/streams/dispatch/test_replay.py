"""What is read again of the attempts log and of the lifecycle log, on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Message, Producer
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Callback, CallbackSource, ControlSubject, Dispatch, MessageStatus, Record
from schemas.topics import ATTEMPTS, LIFECYCLE
from streams.control.places import moved
from streams.control.switches import Aspect, control_key
from streams.dispatch.replay import Replay, Seen
from streams.dispatch.shared_reading import about
from tests.streams.cluster import CODEC, own_cluster
from tests.support.kafka import Kafka
from tests.support.stage import quick_settings
from tests.support.waiting import until
from twin.server import Twin

from .cluster import (
    ADDRESSES,
    dispatch,
    endings,
    fresh_group,
    lanes,
    outgoing,
    twin_settings,
    unstarted_stage,
    until_committed,
    wall_ms,
)
from .simulation import order
from .test_attempts import intent, result

NOW = wall_ms() - 600_000  # a broker refuses times that lie ahead
ANN, BEN = "+14155550100", "+14155550101"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(["login"]) as kafka:
        yield kafka


def replay_of(kafka: Kafka) -> Replay:
    return Replay(quick_settings(kafka.bootstrap), CODEC, lanes(), now_ms=wall_ms)


def produce(kafka: Kafka, topic: str, *told: tuple[int | None, int, str, Record | bytes]) -> None:
    """(partition, written at, key, record) of each."""
    producer = Producer({**kafka.config, "partitioner": "murmur2_random"})  # as our publisher has it
    errors: list[KafkaError] = []

    def refused(error: KafkaError | None, message: Message) -> None:
        if error is not None:
            errors.append(error)

    for partition, at_ms, key, record in told:
        value = record if isinstance(record, bytes) else CODEC.encode(record)
        place = {} if partition is None else {"partition": partition}
        producer.produce(topic, value, key.encode(), timestamp=at_ms, on_delivery=refused, **place)
    assert producer.flush(30) == 0
    assert errors == []


async def test_of_the_attempts_log_those_of_the_people_and_messages_are_found_from_that_moment_on(
    cluster: Kafka,
) -> None:
    def of(message_id: str, recipient: str) -> Record:
        return replace(intent(message_id=message_id), recipient=recipient)

    produce(
        cluster,
        ATTEMPTS,
        (5, NOW - 10_000, "early", of("early", ANN)),
        (5, NOW, "first", of("first", ANN)),
        (5, NOW + 1, "second", of("second", BEN)),
        (5, NOW + 2, "third", of("third", "+14155550199")),
        (5, NOW + 3, "broken", b"no avro " + ANN.encode()),
        (5, NOW + 4, "first", replace(result(message_id="first"), recipient=ANN)),
        (6, NOW + 5, "fourth", of("fourth", ANN)),
    )
    replay = replay_of(cluster)

    async def found(*people: str, ids: tuple[str, ...] = (), since: int = NOW) -> list[tuple[str, str, int]]:
        records = await replay.find(5, since, about(people, ids))
        return [(record.message_id, record.kind.value, position) for record, position in records]

    assert await found(ANN) == [("first", "intent", 1), ("first", "result", 5)]
    assert await found(BEN, ids=("first",)) == [("first", "intent", 1), ("second", "intent", 2), ("first", "result", 5)]
    assert await found(ids=("third", "fourth")) == [("third", "intent", 3)]
    assert await found(ANN, since=NOW + 4) == [("first", "result", 5)]
    assert await found(ANN, since=NOW + 60_000) == []
    assert [each[0] for each in await found(ANN, since=-5)] == ["early", "first", "first"]


async def test_callbacks_of_messages_are_found_wherever_their_keys_lie(cluster: Kafka) -> None:
    def said(message_id: str) -> Callback:
        return Callback(
            message_id=message_id,
            attempt=1,
            source=CallbackSource.STATUS_CALLBACK,
            sid="SM" + "1" * 32,
            account_sid="AC" + "1" * 32,
            status="sent",
            received_at=NOW,
        )

    ids = [cluster.unique("message") for _ in range(20)]
    long_ago: tuple[int | None, int, str, Record | bytes] = (None, NOW - 10_000, "long-ago", said("long-ago"))
    written = [long_ago, *((None, NOW, each, said(each)) for each in ids)]
    produce(cluster, LIFECYCLE, *written)
    wanted = dict.fromkeys(ids[:15], NOW - 1000) | {"long-ago": NOW - 1_000}
    assert sorted(each.message_id for each in await replay_of(cluster).callbacks(wanted)) == sorted(ids[:15])


_NUMBER = st.from_regex(r"\+[12]{1,3}", fullmatch=True)
_NOISE = st.lists(st.sampled_from([b"+", b"1", b"2", b"+1", b"x"]), max_size=5).map(b"".join)


@given(people=st.frozensets(_NUMBER, max_size=3), before=_NOISE, person=_NUMBER, after=_NOISE)
def test_a_record_is_told_apart_without_decoding_exactly_by_the_numbers_in_it(
    people: frozenset[str], before: bytes, person: str, after: bytes
) -> None:
    value = before + person.encode() + after
    assert Seen(about(people)).in_record(b"k", value) == any(each.encode() in value for each in people)
    assert Seen(about(people | {person})).in_record(b"k", value)
    assert Seen(about(people, ["k"])).in_record(b"k", b"")


async def test_a_repeat_that_comes_after_all_was_committed_is_looked_up_in_the_log_and_not_sent(
    cluster: Kafka, tmp_path: Path
) -> None:
    """By another process, which has read nothing of it at its start; flagged, and late."""
    group, decided_at = fresh_group(cluster), wall_ms() - 3_600_000
    sent = [
        replace(order(lane="fast", body=f"text {n}"), sender=ADDRESSES["fast"], decided_at=decided_at) for n in range(2)
    ]

    def write(*orders: Dispatch) -> None:
        cluster.produce([outgoing(each, lanes().partition_of("fast")) for each in orders])

    async with Twin(twin_settings()) as twin:
        await asyncio.to_thread(write, *sent)
        async with dispatch(cluster, tmp_path / "one", group=group, twin_url=twin.url):
            await until_committed(cluster, group)
        async with dispatch(cluster, tmp_path / "two", group=group, twin_url=twin.url) as stage:
            await until(lambda: stage.engine.tenure.generation)
            assert all(stage.engine.reception.histories.get((each.message_id, 0)) is None for each in sent)
            await asyncio.to_thread(write, replace(sent[0], again=True), sent[1])
            await until_committed(cluster, group)
        assert len(list(twin.books.outbound())) == 2
        told = await asyncio.to_thread(endings, cluster, [each.message_id for each in sent])
    for events in told.values():
        assert {event.status for event in events} == {MessageStatus.ACCEPTED}
        assert len(events) == 2
        assert len({event.event_id for event in events}) == 1


def test_after_a_move_a_doubt_is_looked_up_on_both_places_of_its_group() -> None:
    stage = unstarted_stage()
    assert set(stage.engine.doubts.places("fast")) == set()
    place = control_key(ControlSubject.GROUP, "fast", Aspect.PLACE)
    stage.switching.take(place, moved("fast", 0, by="dispatch", at=wall_ms(), since=3))
    assert set(stage.engine.doubts.places("fast")) == {0, 3}
    assert set(stage._replay._places("fast")) == {0, 3}, "and what it owes is read there"
