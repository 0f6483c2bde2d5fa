"""Partition state on a real broker, in one process."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.state import PartitionNotOpen, PartitionStates, PartitionTaken, Undecodable, evict
from connectors.kafka.state.envelope import CLAIM_KEY, Source, headers_of
from connectors.kafka.state.store import Room, Store
from tests.support.kafka import Kafka, Outgoing

Make = Callable[..., Awaitable[PartitionStates]]


@pytest.fixture
def topic(kafka: Kafka) -> str:
    name = kafka.unique("state")
    kafka.create_topics({name: 2}, cleanup_policy="compact", min_compaction_lag_ms="3600000")
    return name


@pytest.fixture
async def make(kafka: Kafka, topic: str, tmp_path: Path) -> AsyncIterator[Make]:
    """Makes a process's states: `await make("a")`; the name is its directory, too."""
    made: list[tuple[PartitionStates, DurablePublisher]] = []

    async def start(name: str, **more: object) -> PartitionStates:
        settings = KafkaSettings(bootstrap=(kafka.bootstrap,))
        publisher = DurablePublisher(settings, name=kafka.unique(name))
        await publisher.start()
        states = PartitionStates(topic, settings, publisher, directory=tmp_path / name, owner=name, **more)  # type: ignore[arg-type]
        await states.start()
        made.append((states, publisher))
        return states

    yield start
    for states, publisher in made:
        await states.stop()
        await publisher.stop()


def cold(tmp_path: Path, name: str) -> None:
    shutil.rmtree(tmp_path / name)


async def test_what_was_put_is_there_after_it_is_opened_again_warm_and_cold(make: Make, tmp_path: Path) -> None:
    states = await make("a")
    await states.open(0)
    await states.put(0, {b"p:1": b"one", b"p:2": b"two", b"q": b"x"}, source=("in", 0, 7))
    await states.put(0, {b"p:2": None}, source=("other", 0, 3))
    for _ in ("warm", "cold"):
        assert states.get(0, b"p:1") == b"one"
        assert states.get(0, b"p:2") is None
        assert list(states.scan(0, b"p:")) == [(b"p:1", b"one")]
        assert states.source_position(0, "in") == 7
        assert states.source_position(0, "other") == 3
        assert states.source_position(0, "none") is None
        await states.close(0)
        await states.open(0)
        await states.close(0)
        cold(tmp_path, "a")
        await states.open(0)


async def test_a_process_killed_after_a_cold_restore_leaves_no_hole_in_its_store(make: Make, tmp_path: Path) -> None:
    states = await make("a")
    await states.open(0)
    await states.put(0, {b"restored": b"1"})
    await states.close(0)
    cold(tmp_path, "a")
    await states.open(0)
    await states.put(0, {b"served": b"2"})
    [topic] = (tmp_path / "a").iterdir()
    left = shutil.copytree(topic / "0", tmp_path / "left", ignore=shutil.ignore_patterns("LOCK"))
    store = Store(left, Room())
    assert [store.get(b"restored"), store.get(b"served")] == [b"1", b"2"]
    store.close()


async def test_thousands_of_puts_wait_at_the_same_time_and_the_last_of_a_key_wins(make: Make) -> None:
    states = await make("a")
    await states.open(0)
    await asyncio.gather(*(states.put(0, {b"k%d" % (n % 50): b"%d" % n}, source=("in", 0, n)) for n in range(3000)))
    assert {int(value) for _, value in states.scan(0, b"k")} == set(range(2950, 3000))
    assert states.source_position(0, "in") == 2999


async def test_a_put_behind_a_new_owners_claim_is_refused_and_no_fold_sees_it(make: Make, tmp_path: Path) -> None:
    old, new = await make("old"), await make("new")
    await old.open(0)
    await old.put(0, {b"k": b"before"})
    await new.open(0)
    with pytest.raises(PartitionTaken):
        await old.put(0, {b"k": b"late"}, source=("in", 0, 99))
    with pytest.raises(PartitionTaken):
        await old.put(0, {b"k": b"later"})
    assert new.get(0, b"k") == b"before"
    await new.put(0, {b"other": b"1"})  # finds the late write before its own, and writes the good value again
    await new.close(0)
    await old.close(0)
    cold(tmp_path, "new")
    for states in (new, old):
        await states.open(0)
        assert states.get(0, b"k") == b"before"
        assert states.source_position(0, "in") is None


async def test_a_stale_write_is_superseded_in_the_log_so_that_compaction_cannot_keep_it_alone(
    make: Make, kafka: Kafka, topic: str
) -> None:
    old, new = await make("old"), await make("new")
    await old.open(0)
    await old.put(0, {b"k": b"good"})
    await new.open(0)
    with pytest.raises(PartitionTaken):
        await old.put(0, {b"k": b"late"})
    third = await make("third")
    await third.open(0)  # nobody put anything meanwhile
    await third.put(0, {b"x": b""})
    written = [record.value for record in await asyncio.to_thread(kafka.consume_all, topic) if record.key == b"k"]
    assert written == [b"good", b"late", b"good"]


async def test_a_stale_write_is_superseded_where_nobody_puts_anything(make: Make, kafka: Kafka, topic: str) -> None:
    old, new = await make("old"), await make("new", look_every_s=1.0)
    await old.open(0)
    await old.put(0, {b"k": b"good"}, source=("in", 0, 7))
    await new.open(0)
    with pytest.raises(PartitionTaken):
        await old.put(0, {b"k": b"late"})

    def written() -> list[bytes | None]:
        return [record.value for record in kafka.consume_all(topic) if record.key == b"k"]

    async with asyncio.timeout(60):
        while True:
            if await asyncio.to_thread(written) == [b"good", b"late", b"good"]:
                break
            await asyncio.sleep(0.05)
    assert new.get(0, b"k") == b"good"
    assert new.source_position(0, "in") == 7


async def test_a_closed_partition_takes_and_shows_nothing(make: Make) -> None:
    states = await make("a")
    await states.open(0)
    under_way = asyncio.create_task(states.put(0, {b"k": b"v"}))
    await asyncio.sleep(0)
    await states.close(0)
    await under_way  # it was waited for
    with pytest.raises(PartitionNotOpen):
        states.get(0, b"k")
    with pytest.raises(PartitionNotOpen):
        await states.put(0, {b"k": b"w"})
    await states.open(0)
    assert states.get(0, b"k") == b"v"


async def test_a_record_that_is_none_of_ours_is_told_of_and_passed_over(make: Make, kafka: Kafka, topic: str) -> None:
    kafka.produce(
        [
            Outgoing(topic, b"v", b"k", 0),
            Outgoing(topic, b"v", b"\0k", 0),
            Outgoing(topic, b"good", b"k", 0, headers_of(0, [(Source("in", 0), 1)])),
        ]
    )
    told: list[Undecodable] = []

    async def tell(record: Undecodable) -> None:
        told.append(record)

    states = await make("a")
    states.tell_undecodable(tell)
    await states.open(0)
    assert [(record.offset, record.why) for record in told] == [
        (0, "header 'epoch' is missing"),
        (1, "the key begins with a zero byte, and is neither a claim nor a mark"),
    ]
    assert states.get(0, b"k") == b"good"
    kafka.produce([Outgoing(topic, b"bad", b"k", 0)])
    await states.put(0, {b"l": b"1"})
    assert told[2].offset == 4
    assert states.get(0, b"k") == b"good"


async def test_a_store_that_is_too_old_is_read_again_from_the_log(make: Make, tmp_path: Path) -> None:
    hour_ms = 3_600_000
    now_ms = [time.time_ns() // 1_000_000]
    states = await make("a", now_ms=lambda: now_ms[0], delete_retention_s=3600.0)
    await states.open(0)
    await states.put(0, {b"k": b"v"})
    store = states._open[0].store
    store.write([(b"deleted long ago", b"x")], store.reflects)  # its deletion is no longer in the log
    await states.close(0)
    now_ms[0] += hour_ms // 4
    await states.open(0)
    assert states.get(0, b"deleted long ago") == b"x", "a store of this age is resumed"
    await states.close(0)
    now_ms[0] += hour_ms
    await states.open(0)
    assert (states.get(0, b"k"), states.get(0, b"deleted long ago")) == (b"v", None)


async def test_a_damaged_store_is_read_again_from_the_log(make: Make, tmp_path: Path) -> None:
    states = await make("a")
    await states.open(0)
    await states.put(0, {b"k": b"v"})
    for spoil in ("size", "content", "manifest"):
        await states.close(0)
        folder = next(iter((tmp_path / "a").iterdir())) / "0"
        for file in folder.glob("MANIFEST*" if spoil == "manifest" else "*.sst"):
            size = file.stat().st_size
            file.write_bytes(b"\xff" * (size if spoil == "content" else size // 2))
        await states.open(0)
        assert states.get(0, b"k") == b"v"


async def test_a_store_of_another_log_is_read_again(make: Make, kafka: Kafka, topic: str) -> None:
    states = await make("a")
    await states.open(0)
    for number in range(20):
        await states.put(0, {b"k": b"%d" % number})
    await states.close(0)
    kafka.delete_topics([topic])
    kafka.create_topics({topic: 2}, cleanup_policy="compact")
    kafka.produce([Outgoing(topic, b"claim", CLAIM_KEY, 0)])
    await states.open(0)
    assert states.get(0, b"k") is None


async def test_an_open_that_is_cancelled_leaves_nothing_behind(make: Make) -> None:
    states = await make("a")
    opening = asyncio.create_task(states.open(0))
    await asyncio.sleep(0.02)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    assert states.health().ok
    await states.open(0)
    await states.put(0, {b"k": b"v"})


async def test_what_is_needless_is_deleted_but_not_what_is_being_written(make: Make) -> None:
    states = await make("a")
    await states.open(0)
    await states.put(0, {b"%03d" % n: b"old" for n in range(300)} | {b"keep": b"new"})
    rewriting = asyncio.create_task(states.put(0, {b"007": b"new"}))
    await asyncio.sleep(0)
    assert await evict(states, 0, lambda key, value: value == b"old", deletions_per_s=1e6, looks_per_s=1000) == 299
    await rewriting
    assert list(states.scan(0, b"")) == [(b"007", b"new"), (b"keep", b"new")]
