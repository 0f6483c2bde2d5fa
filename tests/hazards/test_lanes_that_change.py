"""The lanes change while dispatch sends, and a process dies in the middle of it: a sender is removed, a group moves to
another partition, the dispatch topics grow. Every message is sent once or goes back to policy, and never both."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.reasons import Reason
from schemas.records import Control, ControlAction, ControlSubject, Deferral, MessageClass
from schemas.topics import ATTEMPTS, CONTROL, deferral_topic, dispatch_topic
from streams.control.switches import Aspect, control_key
from tests.streams.cluster import CODEC, COUNTS, own_cluster, records
from tests.streams.dispatch.cluster import (
    ADDRESSES,
    fleet,
    fleet_address,
    fleet_twin,
    fresh_group,
    lanes,
    outgoing,
    twin_settings,
    until_committed,
    wall_ms,
)
from tests.streams.dispatch.killing import TROUBLE, doubts, ids_of, run_until, sent_of, wanted_of, worker
from tests.streams.dispatch.simulation import order
from tests.support.kafka import Kafka, Outgoing
from tests.support.processes import Child
from tests.support.waiting import until
from twin.server import Twin


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    """Its dispatch topics are larger after the last test."""
    with own_cluster(["login"]) as kafka:
        yield kafka


def texts(lane: str, sender: str, partition: int, numbers: range) -> list[Outgoing]:
    made = []
    for number in numbers:
        each = order(
            lane=lane,
            message_class=list(MessageClass)[number % 4],
            recipient=f"+1415{2_000_000 + number}",
            body=f"text {number}",
            deadline=wall_ms() + 600_000,
        )
        each.sender = sender
        made.append(outgoing(each, partition))
    return made


def given_back(kafka: Kafka, made: list[Outgoing]) -> dict[str, set[tuple[int, str]]]:
    """(round, reason) of those of these that went back to policy, by message id."""
    found: dict[str, set[tuple[int, str]]] = {}
    ids = set(ids_of(made))
    for record in records(kafka, deferral_topic("1s")):
        if isinstance(record, Deferral) and record.message_id in ids:
            found.setdefault(record.message_id, set()).add((record.round, record.reason))
    return found


def assert_sent_or_given_back(twin: Twin, made: list[Outgoing], back: set[str]) -> None:
    """Each once, one way or the other."""
    stayed = [each for each in made if (each.key or b"").decode() not in back]
    assert sent_of(twin) - wanted_of(stayed) == Counter(), "sent twice, or sent and given back"
    assert wanted_of(stayed) - sent_of(twin) == Counter(), "lost"


async def test_a_removed_senders_messages_go_back_to_policy_but_for_those_that_were_sent(
    cluster: Kafka, tmp_path: Path
) -> None:
    """Its process is killed with POSTs under way, and its successor does not know the sender any more."""
    rates = {"stays": 100.0, "goes": 150.0}
    group = fresh_group(cluster)
    made = texts("goes", fleet_address(1), 1, range(900)) + texts("stays", fleet_address(0), 0, range(2_000, 2_200))
    await asyncio.to_thread(cluster.produce, made)
    async with Twin(fleet_twin(rates, faults=TROUBLE)) as twin:
        await run_until(250, twin, worker(cluster, group, twin, tmp_path, instance="one", fleet=rates))
        fewer = {"stays": rates["stays"]}
        process = worker(cluster, group, twin, tmp_path, instance="one", fleet=fewer)
        try:
            await until_committed(cluster, group, 90)
        finally:
            code = await asyncio.to_thread(process.stop)
        assert code == 0, process.output()
        back = given_back(cluster, made)
        assert_sent_or_given_back(twin, made, set(back))
    assert 400 <= len(back) < 900
    assert set.union(*back.values()) == {(1, Reason.UNKNOWN_LANE.value)}
    resolved, left_open = doubts(cluster, ids_of(made))
    assert left_open == 0
    assert resolved >= 1, "what was under way was looked up at Twilio"


async def test_processes_that_die_in_the_middle_of_a_move_lose_nothing_and_send_nothing_twice(
    cluster: Kafka, tmp_path: Path
) -> None:
    """One dies at the old place after the move began, its successor, which knows both places, before it is done."""
    old, new = 1, 4
    before, after = ({"fast": 0, "second": partition, "slow": 2} for partition in (old, new))
    group = fresh_group(cluster)
    assert lanes(before).partition_of("second") == old
    first = texts("second", ADDRESSES["second"], old, range(700))
    second = texts("second", ADDRESSES["second"], new, range(5_000, 5_100))
    made = first + second
    begin = Control(
        subject_kind=ControlSubject.GROUP,
        subject="second",
        action=ControlAction.MOVE_BEGIN,
        from_partition=old,
        to_partition=new,
        by="ada",
        at=wall_ms(),
    )
    key = control_key(ControlSubject.GROUP, "second", Aspect.PLACE)
    await asyncio.to_thread(cluster.produce, first)
    async with Twin(twin_settings(faults=TROUBLE)) as twin:
        process = worker(cluster, group, twin, tmp_path, instance="one", lanes=before)
        await until(lambda: len(twin.books.messages) >= 150, 90)
        await asyncio.to_thread(cluster.produce, [Outgoing(CONTROL, CODEC.encode(begin), key)])
        await until(lambda: "move_begin" in process.log.read_text(), 30)
        await asyncio.to_thread(cluster.produce, second)
        await run_until(250, twin, process)
        await run_until(450, twin, worker(cluster, group, twin, tmp_path, instance="one", lanes=after))
        process = worker(cluster, group, twin, tmp_path, instance="one", lanes=after)
        try:
            await until_committed(cluster, group, 90)
        finally:
            code = await asyncio.to_thread(process.stop)
        assert code == 0, process.output()
        back = given_back(cluster, made)
        assert_sent_or_given_back(twin, made, set(back))
        bodies = [message.submitted for message in twin.books.outbound()]
    opened = min(bodies.index(body) for body in bodies if int(body.removeprefix("text ")) >= 5_000)
    assert set(bodies[:opened]) == {f"text {number}" for number in range(700)}, "the old place is emptied first"
    assert back == {}, "its process had heard of the move before anything came to the new place"


@pytest.mark.parametrize("static", [False, pytest.param(True, marks=pytest.mark.long)])
async def test_dispatch_topics_grow_under_load_in_a_rolling_restart(
    cluster: Kafka, tmp_path: Path, *, static: bool
) -> None:
    """Two processes send when the topics get four more partitions, with four more lanes; one after the other is
    restarted with the new number. What reaches one of the old kind goes back to policy."""
    grown = COUNTS.dispatch + 4
    rates = {f"lane{number}": 40.0 for number in range(grown)}
    few = dict(list(rates.items())[: COUNTS.dispatch])
    soon = {"metadata_max_age_s": 1.0}
    group = fresh_group(cluster)
    made = [
        each
        for number in range(COUNTS.dispatch)
        for each in texts(f"lane{number}", fleet_address(number), number, range(1_000 * number, 1_000 * number + 200))
    ]
    later = [
        each
        for number in range(COUNTS.dispatch, grown)
        for each in texts(f"lane{number}", fleet_address(number), number, range(1_000 * number, 1_000 * number + 60))
    ]
    await asyncio.to_thread(cluster.produce, made)
    async with Twin(fleet_twin(rates, faults=TROUBLE)) as twin:

        def start(name: str, fleet_now: dict[str, float]) -> None:
            more = {"fleet": fleet_now, "kafka": soon, "partitions": len(fleet_now)}
            processes[name] = worker(cluster, group, twin, tmp_path, instance=name, static=static, **more)

        processes: dict[str, Child] = {}
        try:
            start("one", few)
            start("two", few)
            await until(lambda: len(twin.books.messages) >= 200, 90)
            topics = [*(dispatch_topic(each) for each in MessageClass), ATTEMPTS]
            await asyncio.to_thread(cluster.add_partitions, topics, grown)
            await asyncio.to_thread(cluster.produce, later)
            for name in list(processes):
                assert await asyncio.to_thread(processes[name].stop) == 0, processes[name].output()
                start(name, rates)
            assert len(twin.books.messages) < len(made), "under load"
            await until_committed(cluster, group, 90)
            last = [
                each
                for number in range(COUNTS.dispatch, grown)
                for each in texts(
                    f"lane{number}", fleet_address(number), number, range(1_000 * number + 500, 1_000 * number + 510)
                )
            ]
            await asyncio.to_thread(cluster.produce, last)
            await until_committed(cluster, group, 60)
        finally:
            codes = [await asyncio.to_thread(process.stop) for process in processes.values()]
        assert codes == [0, 0]
        back = given_back(cluster, made + later + last)
        assert_sent_or_given_back(twin, made + later + last, set(back))
    assert back.keys() <= set(ids_of(later)), "only of the new lanes, while there were processes that did not know them"
    assert {reason for ways in back.values() for _, reason in ways} <= {Reason.UNKNOWN_LANE.value}
    assert fleet(rates, grown).partition_of("lane11") == 11
