"""The corrected consumer under a real Faust app, on a real broker."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import pytest
from aiokafka.errors import KafkaError
from confluent_kafka import TopicPartition

from connectors.kafka.app import StageApp, create_app
from connectors.kafka.commit_book import Commit
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topic_partition import TP
from tests.support.kafka import Kafka, Outgoing
from tests.support.mock_kafka import MockKafka
from tests.support.stage import RecordingStage, recording_app, run_until_it_breaks, running


def fill(kafka: Kafka, topic: str, partition: int, values: Iterable[bytes]) -> None:
    kafka.produce([Outgoing(topic, value, partition=partition) for value in values])


def numbers(count: int) -> list[bytes]:
    return [b"%d" % number for number in range(count)]


class Scene:
    """A topic, a group and as many workers as asked for."""

    def __init__(self, kafka: Kafka, tmp_path: Path) -> None:
        self.kafka = kafka
        self.topic, self.group = kafka.unique("topic"), kafka.unique("group")
        self.tmp_path = tmp_path

    def app(self, name: str = "a", **options: Any) -> StageApp:
        return recording_app(self.kafka.bootstrap, self.group, self.tmp_path / name, **options)

    async def committed(self) -> dict[int, int]:
        return await asyncio.to_thread(self.kafka.committed, self.group, self.topic)


@pytest.fixture
def scene(kafka: Kafka, tmp_path: Path) -> Scene:
    return Scene(kafka, tmp_path)


async def test_records_arrive_as_they_were_written(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 1})
    scene.kafka.produce([Outgoing(scene.topic, b"\x00value", key=b"\xffkey", headers=[("a", b"1"), ("a", b"2")])])
    app = scene.app()
    stage = RecordingStage(app, [scene.topic])
    async with running(app):
        await stage.until_received(1)
    event = stage.received[0].event
    assert (event.value, event.key, event.message.value) == (b"\x00value", b"\xffkey", b"\x00value")
    assert event.message.headers == (("a", b"1"), ("a", b"2"))
    assert stage.received[0][:2] == (TP(scene.topic, 0), 0)


async def test_only_the_finished_prefix_is_committed_and_the_rest_comes_again(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 1})
    fill(scene.kafka, scene.topic, 0, numbers(6))
    app = scene.app()
    stage = RecordingStage(app, [scene.topic])
    tp = TP(scene.topic, 0)
    async with running(app):
        await stage.until_received(6)
        for offset in (0, 1, 3, 5):
            stage.received[offset].finish()
        assert app.consumer.outstanding(tp) == 2
        await stage.until(lambda: (tp, 2) in stage.committed)
    assert await scene.committed() == {0: 2}

    again = scene.app("b")
    later = RecordingStage(again, [scene.topic])
    async with running(again):
        await later.until_received(4)
    assert later.offsets(tp) == [2, 3, 4, 5]


async def test_a_partition_never_committed_is_pinned_where_reading_began(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 2})
    fill(scene.kafka, scene.topic, 1, numbers(3))
    app = scene.app()
    stage = RecordingStage(app, [scene.topic])
    async with running(app):
        await stage.until(lambda: len(stage.committed) >= 2)
    assert await scene.committed() == {0: 0, 1: 0}


async def test_a_window_bounds_what_is_unfinished_and_another_partition_goes_on(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 2})
    fill(scene.kafka, scene.topic, 0, numbers(300))
    fill(scene.kafka, scene.topic, 1, numbers(300))
    blocked, free = TP(scene.topic, 0), TP(scene.topic, 1)
    app = scene.app(window=20)
    stage = RecordingStage(app, [scene.topic])
    finished = 0
    async with running(app):
        while len(stage.offsets(free)) < 300:
            await stage.until_received(finished + 1)
            for record in stage.received[finished:]:
                if record.tp == free:
                    record.finish()
            finished = len(stage.received)
        assert stage.offsets(blocked) == list(range(20))
        assert app.consumer.outstanding(blocked) == 20
        for record in [record for record in stage.received if record.tp == blocked]:
            record.finish()
        await stage.until(lambda: len(stage.offsets(blocked)) == 40)
    assert stage.offsets(free) == list(range(300))


async def test_offset_and_metadata_are_committed_together_and_read_back(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 2})
    fill(scene.kafka, scene.topic, 0, numbers(3))
    app = scene.app()
    app.hooks.position_meta = lambda tp, offset: f"p{tp.partition} at {offset}"
    stage = RecordingStage(app, [scene.topic], finish_at_once=True)
    async with running(app):
        await stage.until(lambda: (TP(scene.topic, 0), 3) in stage.committed)
    stored = await asyncio.to_thread(scene.kafka.committed_with_metadata, scene.group, scene.topic)
    assert stored == {0: (3, "p0 at 3"), 1: (0, "p1 at 0")}

    again = scene.app("b")
    read: list[dict[TP, Commit]] = []

    @again.hooks.on_assigned
    async def restore(partitions: frozenset[TP], generation: int) -> None:
        read.append(await again.consumer.read_committed())

    async with running(again):
        await RecordingStage(again, [scene.topic]).until_flowing()
    assert read == [{TP(scene.topic, 0): Commit(3, "p0 at 3"), TP(scene.topic, 1): Commit(0, "p1 at 0")}]


async def test_an_unchanged_offset_is_recommitted_when_its_metadata_moves(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 1})
    app = scene.app()
    note = "first"
    app.hooks.position_meta = lambda tp, offset: note
    stage = RecordingStage(app, [scene.topic])
    async with running(app):
        await stage.until(lambda: len(stage.committed) == 1)
        note = "second"
        await stage.until(lambda: len(stage.committed) == 2)
    stored = await asyncio.to_thread(scene.kafka.committed_with_metadata, scene.group, scene.topic)
    assert stored == {0: (0, "second")}


async def test_what_is_finished_behind_a_record_that_takes_long_is_not_delivered_to_the_next_owner(
    scene: Scene,
) -> None:
    scene.kafka.create_topics({scene.topic: 1})
    fill(scene.kafka, scene.topic, 0, numbers(300))
    tp = TP(scene.topic, 0)
    app = scene.app()
    app.hooks.position_meta = lambda tp, offset: f"at {offset}"
    stage = RecordingStage(app, [scene.topic])
    async with running(app):
        await stage.until_received(300)
        for record in stage.received:
            if record.offset not in (3, 200):
                record.finish()
        await stage.until(lambda: (tp, 3) in stage.committed)
    stored = await asyncio.to_thread(scene.kafka.committed_with_metadata, scene.group, scene.topic)
    assert stored == {0: (3, "at 3|1,196,1,99")}

    await asyncio.to_thread(fill, scene.kafka, scene.topic, 0, numbers(1))
    again = scene.app("b")
    again.hooks.position_meta = lambda tp, offset: f"at {offset}"
    read: list[dict[TP, Commit]] = []

    @again.hooks.on_assigned
    async def restore(partitions: frozenset[TP], generation: int) -> None:
        read.append(await again.consumer.read_committed())

    successor = RecordingStage(again, [scene.topic])
    async with running(again):
        await successor.until_received(3)
        assert successor.offsets(tp) == [3, 200, 300]
        for record in successor.received:
            record.finish()
        await successor.until(lambda: (tp, 301) in successor.committed)
    assert read == [{tp: Commit(3, "at 3")}]


async def test_nothing_is_delivered_before_the_restore_is_done(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 1})
    fill(scene.kafka, scene.topic, 0, numbers(3))
    app = scene.app()
    stage = RecordingStage(app, [scene.topic])
    seen: list[int] = []
    heartbeats: list[float] = []

    @app.hooks.on_assigned
    async def restore(partitions: frozenset[TP], generation: int) -> None:
        heartbeats.append(app.lease.age_s())
        await asyncio.sleep(1.5)
        heartbeats.append(app.lease.age_s())
        seen.append(len(stage.received))

    async with running(app):
        await stage.until_received(3)
    assert seen == [0]
    assert heartbeats[1] < 1.5, "no heartbeat was confirmed during the restore"


async def test_an_error_in_the_restore_ends_the_app(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 1})
    app = scene.app()
    RecordingStage(app, [scene.topic])

    @app.hooks.on_assigned
    async def restore(partitions: frozenset[TP], generation: int) -> None:
        raise OSError("disk is full")

    with pytest.raises(OSError, match="disk is full"):
        await run_until_it_breaks(app)


async def test_a_rebalance_commits_first_then_drops_state_and_ignores_what_finishes_late(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 2})
    fill(scene.kafka, scene.topic, 0, numbers(4))
    fill(scene.kafka, scene.topic, 1, numbers(4))
    one = scene.app("one", commit_interval_s=600.0)  # what is committed is committed by the revoke
    first = RecordingStage(one, [scene.topic])
    async with running(one):
        await first.until_received(8)
        under_way = first.received[-1]
        for record in first.received[:-1]:
            record.finish()
        two = scene.app("two")
        second = RecordingStage(two, [scene.topic])
        async with running(two):
            await first.until(lambda: [call[0] for call in first.calls].count("assigned") == 2)
            await first.until_flowing()
            await second.until_flowing()
            under_way.finish()  # too late: it belongs to the generation before
            owner = first if under_way.tp in one.consumer.partitions else second
            await owner.until(lambda: under_way[:2] in [r[:2] for r in owner.received if r is not under_way])
            assert await scene.committed() == {
                partition: 3 if partition == under_way.tp.partition else 4 for partition in (0, 1)
            }
    assert len(first.received) + len(second.received) == 9
    names = [call[0] for call in first.calls[:4]]
    assert names == ["assigned", "revoked", "released", "assigned"]


async def test_work_under_way_is_waited_for_but_not_for_ever(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 1})
    fill(scene.kafka, scene.topic, 0, numbers(2))
    app = scene.app(in_flight_wait_s=0.5)
    stage = RecordingStage(app, [scene.topic])
    waited: list[str] = []

    @app.hooks.on_revoked
    async def revoked(partitions: frozenset[TP]) -> None:
        await asyncio.sleep(0.1)
        stage.received[0].finish()
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            waited.append("cancelled")
            raise

    async with running(app):
        await stage.until_received(2)
    assert waited == ["cancelled"]
    assert await scene.committed() == {0: 1}


async def test_a_commit_that_retention_overtook_is_reported_and_reading_goes_on_at_the_log_start(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 1})
    fill(scene.kafka, scene.topic, 0, numbers(10))
    app = scene.app()
    stage = RecordingStage(app, [scene.topic])
    tp = TP(scene.topic, 0)
    async with running(app):
        await stage.until_received(10)
        for record in stage.received[:2]:
            record.finish()
        await stage.until(lambda: (tp, 2) in stage.committed)
    await asyncio.to_thread(delete_below, scene.kafka, tp, 7)

    again = scene.app("b")
    later = RecordingStage(again, [scene.topic])
    async with running(again):
        await later.until_received(3)
    lost = [call[1] for call in later.calls if call[0] == "lost"]
    assert [(loss.tp, loss.first, loss.next, loss.reason) for loss in lost] == [(tp, 2, 7, "retention")]
    assert later.offsets(tp) == [7, 8, 9]
    assert later.calls.index(("lost", lost[0])) < len(later.calls)


async def test_records_that_retention_takes_from_a_blocked_partition_are_reported(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 1})
    tp = TP(scene.topic, 0)
    for _ in range(12):  # one batch each: a batch is fetched as a whole
        fill(scene.kafka, scene.topic, 0, [b"x" * 1000])
    app = scene.app(window=1, max_fetch_bytes=2000)  # a record or two per fetch; the rest stays at the broker
    stage = RecordingStage(app, [scene.topic])
    async with running(app):
        await stage.until_received(1)
        await asyncio.to_thread(delete_below, scene.kafka, tp, 9)
        handled = 0
        while not any(call[0] == "lost" for call in stage.calls) or stage.offsets(tp)[-1] < 11:
            for record in stage.received[handled:]:
                record.finish()
            handled = len(stage.received)
            await stage.until_received(handled + 1)
    lost = [call[1] for call in stage.calls if call[0] == "lost"]
    assert len(lost) == 1
    assert stage.offsets(tp) == [*range(lost[0].first), *range(9, 12)]
    assert (lost[0].next, lost[0].reason) == (9, "retention")


async def test_a_topic_made_anew_is_read_from_its_start(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 1})
    fill(scene.kafka, scene.topic, 0, numbers(10))
    app = scene.app()
    stage = RecordingStage(app, [scene.topic], finish_at_once=True)
    tp = TP(scene.topic, 0)
    async with running(app):
        await stage.until(lambda: (tp, 10) in stage.committed)
    await asyncio.to_thread(scene.kafka.delete_topics, [scene.topic])
    await asyncio.to_thread(scene.kafka.create_topics, {scene.topic: 1})
    fill(scene.kafka, scene.topic, 0, numbers(4))
    stored = await scene.committed()
    again = scene.app("b")
    later = RecordingStage(again, [scene.topic], finish_at_once=True)
    async with running(again):
        await later.until(lambda: (tp, 4) in later.committed)
    assert later.offsets(tp) == [0, 1, 2, 3]
    if stored:  # brokers forget a deleted topic's offsets, sooner or later
        assert [call[1].reason for call in later.calls if call[0] == "lost"] == ["truncated"]


async def test_a_refused_consumer_ends_the_app_instead_of_standing_still(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 1})
    app = scene.app()
    RecordingStage(app, [scene.topic])

    @app.hooks.on_assigned
    def refuse(partitions: frozenset[TP], generation: int) -> None:
        app.consumer._thread._consumer._coordinator._pending_exception = KafkaError("not allowed")

    with pytest.raises(KafkaError, match="not allowed"):
        await run_until_it_breaks(app)


async def test_a_topic_of_another_type_than_bytes_is_refused(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 1})
    app = scene.app()

    @app.agent(app.topic(scene.topic, value_type=str))
    async def take(stream: AsyncIterator[object]) -> None:
        async for _ in stream:
            pass

    with pytest.raises(TypeError, match="value_type=bytes"):
        await run_until_it_breaks(app)


async def test_a_quick_restart_under_static_membership_disturbs_nobody(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 4})
    one, two = scene.app("one", instance_id="one"), scene.app("two", instance_id="two")
    first, second = RecordingStage(one, [scene.topic]), RecordingStage(two, [scene.topic], finish_at_once=True)
    async with running(two):
        async with running(one):
            await second.until(lambda: second.holds(2))
            await first.until_flowing()
            held = one.consumer.partitions
        before = list(second.calls)
        again = scene.app("again", instance_id="one")
        restarted = RecordingStage(again, [scene.topic], finish_at_once=True)
        async with running(again):
            await restarted.until_flowing()
            assert again.consumer.partitions == held
            await asyncio.to_thread(fill_each, scene.kafka, scene.topic, 4)
            await restarted.until_received(2)
            await second.until_received(2)
            assert second.calls == before


def fill_each(kafka: Kafka, topic: str, partitions: int) -> None:
    kafka.produce([Outgoing(topic, b"x", partition=partition) for partition in range(partitions)])


async def test_it_works_on_the_embedded_broker(mock_kafka: MockKafka, tmp_path: Path) -> None:
    kafka = Kafka(mock_kafka.bootstrap)
    topic, group = kafka.unique("topic"), kafka.unique("group")
    kafka.produce([Outgoing(topic, b"%d" % number, partition=0) for number in range(50)])
    tp = TP(topic, 0)
    app = recording_app(mock_kafka.bootstrap, group, tmp_path / "a")
    app.hooks.position_meta = lambda tp, offset: f"at {offset}"
    stage = RecordingStage(app, [topic])
    async with running(app):
        await stage.until_received(50)
        for record in stage.received[:30]:
            record.finish()
        await stage.until(lambda: (tp, 30) in stage.committed)
    again = recording_app(mock_kafka.bootstrap, group, tmp_path / "b")
    later = RecordingStage(again, [topic])
    async with running(again):
        await later.until_received(20)
        assert (await again.consumer.read_committed())[tp] == Commit(30, "at 30")
    assert later.offsets(tp) == list(range(30, 50))


def test_there_is_no_consumer_before_the_app_runs(tmp_path: Path) -> None:
    app = create_app(KafkaSettings(bootstrap=("127.0.0.1:1",)), group="g", anchor=None, datadir=tmp_path)
    with pytest.raises(RuntimeError, match=r"app\.hooks"):
        _ = app.consumer


async def test_a_stream_that_acks_by_itself_is_taken_down_in_the_ledger(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 1})
    fill(scene.kafka, scene.topic, 0, numbers(5))
    app = scene.app()
    confirmed = asyncio.Event()
    app.hooks.on_committed(lambda tp, offset: confirmed.set() if offset == 5 else None)

    @app.agent(app.topic(scene.topic, value_type=bytes, value_serializer="raw"))
    async def take(stream: AsyncIterator[bytes]) -> None:
        async for _ in stream:
            pass

    async with running(app), asyncio.timeout(60):
        await confirmed.wait()
    assert await scene.committed() == {0: 5}


async def test_a_stream_that_acks_by_itself_does_not_ack_the_record_whose_agent_raised(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 1})
    fill(scene.kafka, scene.topic, 0, numbers(5))
    app = scene.app()

    @app.agent(app.topic(scene.topic, value_type=bytes, value_serializer="raw"))
    async def take(stream: AsyncIterator[bytes]) -> None:
        async for value in stream:
            if value == b"3":
                raise ValueError("not this one")

    with pytest.raises(ValueError, match="not this one"):
        await run_until_it_breaks(app)
    assert (await scene.committed()).get(0, 0) <= 3


async def test_an_exception_from_a_hook_ends_the_app_instead_of_being_logged_by_the_client(scene: Scene) -> None:
    scene.kafka.create_topics({scene.topic: 1})
    one, two = scene.app("one"), scene.app("two")
    first, second = RecordingStage(one, [scene.topic]), RecordingStage(two, [scene.topic])

    @one.hooks.on_revoked
    def broken(partitions: frozenset[TP]) -> None:
        raise OSError("cannot flush")

    async def second_joins() -> None:
        async with running(one):
            await first.until_flowing()
            async with running(two):
                await second.until_flowing()
                async with asyncio.timeout(60):
                    await one._crashed.wait()

    with pytest.raises(OSError, match="cannot flush"):
        await second_joins()


def delete_below(kafka: Kafka, tp: TP, offset: int) -> None:
    """What retention does, now."""
    for done in kafka.admin.delete_records([TopicPartition(tp.topic, tp.partition, offset)]).values():
        done.result(30)
