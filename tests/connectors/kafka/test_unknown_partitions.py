"""Records for partitions that a producer does not know yet."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors.kafka import unknown_partitions
from connectors.kafka.unknown_partitions import UnknownPartitions
from tests.support.waiting import until


class Brokers:
    """Topics with their partition counts; away for the first questions, if told so."""

    def __init__(self, counts: dict[str, int], *, away: int = 0) -> None:
        self.counts = counts
        self.away = away
        self.asked: list[str] = []
        self.again: list[str] = []
        self.refused: list[str] = []
        self.unknown = UnknownPartitions[str](count=self._count, again=self.again.extend, refuse=self.refused.append)

    async def _count(self, topic: str) -> int:
        self.asked.append(topic)
        if len(self.asked) <= self.away:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return self.counts[topic]


async def test_what_is_known_then_is_given_back_in_order_and_the_rest_refused() -> None:
    brokers = Brokers({"grown": 4, "other": 1})
    unknown = brokers.unknown
    for number in range(3):
        unknown.keep("grown", 3, f"there {number}")
        unknown.keep("grown", 4, f"nowhere {number}")
    unknown.keep("other", 1, "elsewhere")
    assert unknown
    assert ("grown", 3) in unknown
    assert ("grown", 2) not in unknown
    await asyncio.sleep(2 * unknown_partitions.ASK_AFTER_S)
    assert brokers.again == ["there 0", "there 1", "there 2"]
    assert brokers.refused == ["nowhere 0", "nowhere 1", "nowhere 2", "elsewhere"]
    assert sorted(brokers.asked) == ["grown", "other"], "once for each topic"
    assert not unknown
    unknown.keep("grown", 3, "still unknown here")
    await asyncio.sleep(2 * unknown_partitions.ASK_AFTER_S)
    assert brokers.again[-1] == "still unknown here"


async def test_brokers_that_are_away_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown_partitions, "RETRY_S", 0.01)
    brokers = Brokers({"grown": 4}, away=3)
    brokers.unknown.keep("grown", 3, "patient")
    await until(lambda: bool(brokers.again), 5)
    assert brokers.asked == ["grown"] * 4


async def test_what_is_forgotten_comes_no_more() -> None:
    brokers = Brokers({"grown": 4})
    brokers.unknown.keep("grown", 3, "gone")
    brokers.unknown.clear()
    await asyncio.sleep(2 * unknown_partitions.ASK_AFTER_S)
    assert not brokers.unknown
    assert not brokers.again + brokers.refused
