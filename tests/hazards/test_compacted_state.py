"""Kafka's own log cleaner at work on a state topic: what a former owner wrote late, what was deleted, and a disk that
missed the deletion."""

from __future__ import annotations

import asyncio
import shutil
import time
from pathlib import Path

import pytest

from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.state import PartitionStates, PartitionTaken
from connectors.kafka.state.envelope import CLAIM_KEY
from tests.support.kafka import Kafka, Stored

DELETIONS_KEPT_S = 1.0
CLEANED_WITHIN_S = 90.0  # a cluster that was given to the tests may clean every 15 s only


class Owner:
    """One process's states, on a disk of its own."""

    def __init__(self, kafka: Kafka, topic: str, folder: Path, name: str) -> None:
        settings = KafkaSettings(bootstrap=(kafka.bootstrap,))
        self.publisher = DurablePublisher(settings, name=f"{topic}-{name}")
        self.disk = folder / name
        self.states = PartitionStates(
            topic, settings, self.publisher, directory=self.disk, owner=name, delete_retention_s=DELETIONS_KEPT_S
        )

    async def open(self) -> Owner:
        await self.publisher.start()
        await self.states.open(0)
        return self

    async def reopen(self) -> None:
        await self.states.close(0)
        await self.states.open(0)

    async def close(self) -> None:
        await self.states.stop()
        await self.publisher.stop()


def of(log: list[Stored], key: bytes) -> list[bytes | None]:
    return [record.value for record in log if record.key == key]


async def test_compaction_keeps_the_owners_value_and_no_disk_keeps_what_was_deleted(
    kafka: Kafka, tmp_path: Path
) -> None:
    topic = kafka.unique("state")
    kafka.create_topics(
        {topic: 1},
        cleanup_policy="compact",
        min_cleanable_dirty_ratio="0.0",
        segment_ms="200",
        delete_retention_ms=str(int(DELETIONS_KEPT_S * 1000)),
    )
    old = await Owner(kafka, topic, tmp_path, "old").open()
    await old.states.put(0, {b"kept": b"good", b"gone": b"x"}, source=("in", 0, 7))
    away = await Owner(kafka, topic, tmp_path, "away").open()  # its disk holds `gone`, and it goes away
    await away.close()
    await old.reopen()
    await old.states.put(0, {b"gone": None}, source=("in", 0, 8))
    new = await Owner(kafka, topic, tmp_path, "new").open()
    with pytest.raises(PartitionTaken):
        await old.states.put(0, {b"kept": b"late"}, source=("in", 0, 99))
    await old.close()
    number, deadline = 0, time.monotonic() + CLEANED_WITHIN_S
    while True:
        number += 1
        await new.states.put(0, {b"filler": b"%d" % number})  # an open segment is not cleaned, and this closes it
        log = await asyncio.to_thread(kafka.consume_all, topic)
        if of(log, b"kept") == [b"good"] and of(log, b"gone") == [] and len(of(log, CLAIM_KEY)) == 1:
            break
        assert time.monotonic() < deadline, [(record.offset, record.key, record.value) for record in log]
        await asyncio.sleep(0.3)
    assert new.states.get(0, b"kept") == b"good"
    await new.close()
    shutil.rmtree(tmp_path / "new")
    for name in ("new", "away"):
        again = await Owner(kafka, topic, tmp_path, name).open()
        try:
            assert again.states.get(0, b"kept") == b"good", name
            assert again.states.get(0, b"gone") is None, name
            assert again.states.source_position(0, "in") == 8, name
        finally:
            await again.close()
