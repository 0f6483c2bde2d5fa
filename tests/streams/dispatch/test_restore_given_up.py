"""A rebalance ends a restore whose thread still reads: the next one does not hear of what it does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from connectors.kafka.asking import Stopped
from connectors.kafka.log_reader import Stretch
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topic_partition import TP
from schemas.records import Attempt
from streams.dispatch.day_caps import DayCaps
from streams.dispatch.pace_log import Rates
from streams.dispatch.replay import Replay
from tests.support.waiting import until

from .simulation import scheduler
from .test_attempts import intent, result
from .test_day_caps import ACME, NOON, brand
from .world import CODEC, PARTITION

LOG: list[Attempt] = [
    each
    for number in range(3)
    for each in (
        intent(message_id=f"m{number}", carrier="tmobile", at=NOON),
        replace(result(message_id=f"m{number}"), carrier="tmobile"),
    )
]


class Read:
    """As confluent's messages are asked."""

    def __init__(self, offset: int) -> None:
        self._offset = offset

    def offset(self) -> int:
        return self._offset

    def partition(self) -> int:
        return PARTITION

    def value(self) -> bytes:
        return CODEC.encode(LOG[self._offset])


class Reader:
    """Of the log. The first one of all hangs where it is told to, as on a slow broker."""

    hangs_in = ""
    hanging: threading.Event
    released: threading.Event
    ended: threading.Event
    made = 0

    def __init__(self, settings: KafkaSettings) -> None:
        Reader.made += 1
        self._hangs_in = Reader.hangs_in if Reader.made == 1 else ""
        self.stopped = threading.Event()

    def stop(self) -> None:
        self.stopped.set()

    def whole(self, partitions: Iterable[TP]) -> dict[TP, Stretch]:
        return {tp: Stretch(0, len(LOG)) for tp in partitions}

    def recent(self, partitions: Iterable[TP], since_ms: int, most: int) -> dict[TP, Stretch]:
        self._hang("asking")
        return self.whole(partitions)

    def read(self, stretches: Mapping[TP, Stretch], take: Callable[[Any], None]) -> int:
        if self.stopped.is_set():
            raise Stopped
        for offset in range(len(LOG)):
            if offset == 1:
                self._hang("reading")
            take(Read(offset))
        return len(LOG)

    def _hang(self, where: str) -> None:
        if self._hangs_in == where:
            self._hangs_in = ""
            Reader.hanging.set()
            assert Reader.released.wait(30)


@pytest.mark.parametrize("hangs_in", ["asking", "reading"])
async def test_what_a_restore_that_was_given_up_still_reads_counts_nothing(
    hangs_in: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.dispatch.replay.LogReader", Reader)
    Reader.made, Reader.hangs_in = 0, hangs_in
    Reader.hanging, Reader.released, Reader.ended = threading.Event(), threading.Event(), threading.Event()
    lanes = brand()
    replay, caps = Replay(KafkaSettings(("127.0.0.1:1",)), CODEC, lanes, now_ms=lambda: NOON), DayCaps(lanes)
    rates = Rates.in_force(scheduler(lanes))
    restore = replay._restore

    def watched(*args: Any) -> Any:
        try:
            return restore(*args)
        finally:
            Reader.ended.set()

    monkeypatch.setattr(replay, "_restore", watched)
    first = asyncio.create_task(replay.restore({PARTITION: None}, rates, caps))
    await until(Reader.hanging.is_set)
    first.cancel()
    await asyncio.wait([first])
    await replay.restore({PARTITION: None}, rates, caps)
    assert caps.states(NOON)[ACME].used == 3
    Reader.ended.clear()
    Reader.released.set()
    await until(Reader.ended.is_set)
    assert caps.states(NOON)[ACME].used == 3
