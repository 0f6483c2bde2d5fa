"""The stage on a real broker, sending to a twin."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.health import HealthBoard
from schemas.reasons import Reason
from schemas.records import Control, ControlAction, DeadLetter, Deferral, Dispatch, MessageClass, MessageStatus
from schemas.topics import CONTROL, DEAD, deferral_topic, dispatch_topic
from streams.control.backlogs import backlog_key
from streams.dispatch.reception import LATE_MS
from tests.streams.cluster import CODEC, own_cluster, records
from tests.support.kafka import Kafka, Outgoing
from tests.support.waiting import until, wait_until
from twin.server import Twin
from twin.settings import FaultSettings, RequestFault

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
    until_ended,
    wall_ms,
)
from .simulation import order, worst_excess

CRITICAL, HIGH, NORMAL, BULK = MessageClass


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(["login"]) as kafka:
        yield kafka


def to_send(count: int, *, lane: str = "fast", message_class: MessageClass = NORMAL, start: int = 0) -> list[Outgoing]:
    partition = lanes().partition_of(lane)
    made = []
    for number in range(start, start + count):
        each = order(
            lane=lane,
            message_class=message_class,
            recipient=f"+1415555{number:04d}",
            body=f"text {number} by {lane}",
            deadline=wall_ms() + 600_000,
        )
        each.sender = ADDRESSES[lane]
        made.append(outgoing(each, partition))
    return made


def ids_of(sent: list[Outgoing]) -> list[str]:
    return [(each.key or b"").decode() for each in sent]


async def test_every_message_is_sent_once_told_and_committed(cluster: Kafka, tmp_path: Path) -> None:
    group = fresh_group(cluster)
    async with Twin(twin_settings()) as twin:
        sent = [
            each
            for position, message_class in enumerate(MessageClass)
            for lane in ("fast", "second")
            for each in to_send(50, lane=lane, message_class=message_class, start=1000 * position)
        ]
        await asyncio.to_thread(cluster.produce, sent)
        async with dispatch(cluster, tmp_path, group=group, twin_url=twin.url):
            told = await until_ended(cluster, ids_of(sent))
            await until_committed(cluster, group)
        assert Counter(event.status for events in told.values() for event in events) == {MessageStatus.ACCEPTED: 400}
        assert {event.sid for events in told.values() for event in events} == {
            message.sid for message in twin.books.outbound()
        }
        assert twin.books.duplicates() == []


async def test_what_ended_behind_a_doubt_is_not_told_again_by_the_next_owner(cluster: Kafka, tmp_path: Path) -> None:
    group = fresh_group(cluster)
    lost = RequestFault(kind="reset_after", to_prefix="+14155558000")
    async with Twin(twin_settings(faults=FaultSettings(requests=(lost,)))) as twin:
        in_doubt, others = to_send(1, start=8_000), to_send(300, start=8_001)
        await asyncio.to_thread(cluster.produce, in_doubt + others)
        async with dispatch(cluster, tmp_path, group=group, twin_url=twin.url, settings={"settle_s": 600.0}):
            await until_ended(cluster, ids_of(others))
        async with dispatch(cluster, tmp_path, group=group, twin_url=twin.url) as stage:
            await until_ended(cluster, ids_of(in_doubt))
            await until_committed(cluster, group)
            assert stage.engine.tenure.held == {}
        told = endings(cluster, ids_of(in_doubt + others))
        assert Counter(map(len, told.values())) == {1: 301}
        assert len(list(twin.books.outbound())) == 301


async def test_a_copy_that_policy_publishes_when_it_wakes_up_is_not_sent_again(cluster: Kafka, tmp_path: Path) -> None:
    """Its time says that it was made at once; that it lay in a frozen process's queue only the broker's time says."""
    group, decided_at = fresh_group(cluster), wall_ms() - LATE_MS - 1_000
    [asked] = to_send(1, start=9_000)
    made = CODEC.decode(asked.value or b"")
    assert isinstance(made, Dispatch)
    made.decided_at = decided_at
    copy = asked._replace(value=CODEC.encode(made), timestamp_ms=decided_at)
    async with Twin(twin_settings()) as twin, dispatch(cluster, tmp_path, group=group, twin_url=twin.url):
        for _ in range(2):
            await asyncio.to_thread(cluster.produce, [copy])
            await until_ended(cluster, ids_of([asked]))
            await until_committed(cluster, group)
        assert len(list(twin.books.outbound())) == 1


async def test_a_slow_lane_delays_only_itself_and_is_never_over_driven(cluster: Kafka, tmp_path: Path) -> None:
    group = fresh_group(cluster)
    async with Twin(twin_settings()) as twin:
        slow, fast = to_send(200, lane="slow"), to_send(500, lane="fast", start=5000)
        await asyncio.to_thread(cluster.produce, slow + fast)
        async with turns_of_the_loop() as longest, dispatch(cluster, tmp_path, group=group, twin_url=twin.url) as stage:
            await until_ended(cluster, ids_of(fast))
            sent_slowly = [message for message in twin.books.outbound() if message.from_ == ADDRESSES["slow"]]
            assert len(sent_slowly) < 60
            assert stage.scheduler.lanes["slow"].backlog(2) <= 20, "the window holds back the rest"
            excess = stage.scheduler.lanes["slow"].started_segments
            assert excess < 60
        assert _excess(twin, "slow", 2.0) <= 2.0 * TURNS_OF_A_REQUEST * longest()


TURNS_OF_A_REQUEST = 4
"""The twin shares the test's loop with 500 fast messages, and notes a request so many turns after it came: its
connection, its bytes, its handler, what the handler awaits."""


@asynccontextmanager
async def turns_of_the_loop() -> AsyncIterator[Callable[[], float]]:
    """How long the longest turn of the running loop took so far, seconds."""
    longest, every_s = 0.0, 0.01

    async def watch() -> None:
        nonlocal longest
        while True:
            begun = time.monotonic()
            await asyncio.sleep(every_s)
            longest = max(longest, time.monotonic() - begun)

    watching = asyncio.create_task(watch())
    yield lambda: longest
    watching.cancel()


def _excess(twin: Twin, lane: str, rate: float) -> float:
    """Segments by which a lane was above its rate in the worst window, by when the twin noted them."""
    sent = [each for each in twin.books.outbound() if each.from_ == ADDRESSES[lane]]
    return worst_excess([(each.accepted, each.segments) for each in sent], rate)


async def test_bad_records_end_on_comms_dead_and_their_neighbours_are_sent(cluster: Kafka, tmp_path: Path) -> None:
    group = fresh_group(cluster)
    topic = dispatch_topic(HIGH)
    async with Twin(twin_settings()) as twin:
        good = to_send(20, message_class=HIGH)
        bad = [Outgoing(topic, b"no avro", b"x", 0), Outgoing(topic, None, b"x", 0)]
        await asyncio.to_thread(cluster.produce, good[:10] + bad + good[10:])
        async with dispatch(cluster, tmp_path, group=group, twin_url=twin.url):
            await until_ended(cluster, ids_of(good))
            await until_committed(cluster, group)
    letters = [each for each in records(cluster, DEAD) if isinstance(each, DeadLetter) and each.source_topic == topic]
    assert [letter.reason for letter in letters] == [Reason.UNDECODABLE, Reason.UNDECODABLE]


async def test_messages_of_an_unknown_lane_or_in_another_partition_go_back_to_policy(
    cluster: Kafka, tmp_path: Path
) -> None:
    group = fresh_group(cluster)
    gone = order(lane="gone", deadline=wall_ms() + 60_000)
    astray = [each._replace(partition=6) for each in to_send(10)]
    async with Twin(twin_settings()) as twin:
        await asyncio.to_thread(cluster.produce, [outgoing(gone, 5), *astray])
        async with dispatch(cluster, tmp_path, group=group, twin_url=twin.url):
            await until_committed(cluster, group)
        assert not list(twin.books.outbound())
    back = [each for each in records(cluster, deferral_topic("1s")) if isinstance(each, Deferral)]
    found = {each.message_id: (each.round, each.reason) for each in back}
    assert found.pop(gone.message_id) == (1, Reason.UNKNOWN_LANE)
    assert {message: found.get(message) for message in ids_of(astray)} == dict.fromkeys(
        ids_of(astray), (1, Reason.LANE_MOVED)
    )


async def test_a_twin_that_is_away_is_waited_for_and_shown_in_health(cluster: Kafka, tmp_path: Path) -> None:
    group = fresh_group(cluster)
    board = HealthBoard()
    async with Twin(twin_settings()) as twin:
        await twin.hang_up()
        sent = to_send(50)
        await asyncio.to_thread(cluster.produce, sent)
        async with dispatch(cluster, tmp_path, group=group, twin_url=twin.url) as stage:
            stage.board(board)
            await until(lambda: not board.ready()[1]["twilio"].ok)
            await twin.listen()
            await until_ended(cluster, ids_of(sent))
            await until_committed(cluster, group)
            assert board.ready()[1]["twilio"].ok
            assert board.live()[0]
        assert len(list(twin.books.outbound())) == 50


async def test_the_view_of_the_lanes_tells_rate_queue_and_what_holds_a_lane(cluster: Kafka, tmp_path: Path) -> None:
    group = fresh_group(cluster)
    async with Twin(twin_settings()) as twin:
        sent = to_send(40, lane="slow", message_class=BULK)
        await asyncio.to_thread(cluster.produce, sent)
        async with dispatch(cluster, tmp_path, group=group, twin_url=twin.url) as stage:
            await until(lambda: stage.scheduler.lanes["slow"].started_segments >= 4)
            view = stage.view.show()
    slow = next(each for each in view["lanes"] if each["lane"] == "slow")
    assert slow["served_here"]
    assert slow["rate"] == 2.0
    assert slow["queued"]["bulk"] >= 10
    assert slow["eta_s"] >= 5
    assert slow["held"] is None
    assert view["accounts"][0]["slots"] > 0


async def test_a_second_worker_takes_over_without_loss_or_repeat(cluster: Kafka, tmp_path: Path) -> None:
    group = fresh_group(cluster)
    async with Twin(twin_settings()) as twin:
        sent = to_send(400, lane="second") + to_send(600, lane="fast", start=2000)
        await asyncio.to_thread(cluster.produce, sent)
        async with dispatch(cluster, tmp_path / "a", group=group, twin_url=twin.url):
            await until(lambda: len(list(twin.books.outbound())) > 100)
            async with dispatch(cluster, tmp_path / "b", group=group, twin_url=twin.url) as second:
                await until(lambda: second.scheduler.lanes["second"].started_messages or second._served)
                await until_ended(cluster, ids_of(sent))
                await until_committed(cluster, group)
        assert len(list(twin.books.outbound())) == 1000
        assert twin.books.duplicates() == []


async def test_a_lane_that_is_far_behind_is_told_to_policy_by_class(cluster: Kafka, tmp_path: Path) -> None:
    group = fresh_group(cluster)
    lane = backlog_key("slow")

    def told() -> list[Control]:
        stored = [each for each in cluster.consume_all(CONTROL) if each.key == lane]
        return [each for each in (CODEC.decode(one.value or b"") for one in stored) if isinstance(each, Control)]

    async with Twin(twin_settings()) as twin:
        await asyncio.to_thread(cluster.produce, to_send(200, lane="slow", message_class=BULK, start=7000))
        async with dispatch(cluster, tmp_path, group=group, twin_url=twin.url):
            await asyncio.to_thread(wait_until, told, "word of the backlog", every_s=1.0)
            [critical] = to_send(1, lane="slow", message_class=CRITICAL, start=7900)
            await asyncio.to_thread(cluster.produce, [critical])
            await until_ended(cluster, ids_of([critical]))
    record = told()[-1]
    assert record.action is ControlAction.BACKLOG
    assert record.eta_s is not None
    assert set(record.eta_s) == {"bulk"}
    assert 10 < record.eta_s["bulk"] <= 90, "180 lie unread at 2 a second"


async def test_what_it_reads_beside_the_group_ends_together() -> None:
    """Each may have to wait for a question that Kafka does not answer; one after the other they took all of a stop."""
    stage: Any = unstarted_stage()
    both = asyncio.Barrier(2)
    stage._control.stop = stage.tail.stop = both.wait
    async with asyncio.timeout(30):
        await stage.stop()
