"""Records for partitions that a producer does not know yet."""

from __future__ import annotations

import asyncio

import pytest
from confluent_kafka import KafkaError, KafkaException

from connectors.kafka import unknown_partitions
from connectors.kafka.unknown_partitions import UnknownPartitions
from tests.support.waiting import until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for pause in ("ASK_AFTER_S", "AGAIN_S", "RETRY_S"):
        monkeypatch.setattr(unknown_partitions, pause, 0.01)


class Brokers:
    """Topics with their partition counts; away for the first questions, if told so, and after that `late` answers come
    from a broker that knows of one partition less."""

    def __init__(self, counts: dict[str, int], *, away: int = 0, late: int = 0) -> None:
        self.counts = counts
        self.away = away
        self.late = late
        self.asked: list[str] = []
        self.again: list[str] = []
        self.refused: list[str] = []
        self.unknown = UnknownPartitions[str](count=self._count, again=self.again.extend, refuse=self.refused.append)

    async def _count(self, topic: str) -> int:
        self.asked.append(topic)
        if len(self.asked) <= self.away:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return self.counts[topic] - (len(self.asked) <= self.away + self.late)


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
    await until(lambda: brokers.again, 5)
    assert brokers.again == ["there 0", "there 1", "there 2"]
    assert brokers.asked.count("grown") == 1
    assert not brokers.refused
    await until(lambda: not unknown, 5)
    assert sorted(brokers.refused) == ["elsewhere", "nowhere 0", "nowhere 1", "nowhere 2"]
    assert [each for each in brokers.refused if each != "elsewhere"] == ["nowhere 0", "nowhere 1", "nowhere 2"]
    unknown.keep("grown", 3, "still unknown here")
    await until(lambda: not unknown, 5)
    assert brokers.again[-1] == "still unknown here"


async def test_a_broker_that_has_not_heard_of_a_partition_yet_is_not_believed() -> None:
    brokers = Brokers({"grown": 4}, late=unknown_partitions.QUESTIONS - 1)
    brokers.unknown.keep("grown", 3, "there")
    await until(lambda: not brokers.unknown, 5)
    assert brokers.again == ["there"]
    assert not brokers.refused


async def test_a_record_that_comes_late_is_asked_for_as_often_as_the_others() -> None:
    brokers = Brokers({"grown": 4}, late=unknown_partitions.QUESTIONS)
    brokers.unknown.keep("grown", 4, "nowhere")
    await until(lambda: len(brokers.asked) >= 2, 5)
    brokers.unknown.keep("grown", 3, "there")
    await until(lambda: not brokers.unknown, 5)
    assert (brokers.again, brokers.refused) == (["there"], ["nowhere"])


async def test_brokers_that_are_away_are_waited_for() -> None:
    brokers = Brokers({"grown": 4}, away=3 * unknown_partitions.QUESTIONS)
    brokers.unknown.keep("grown", 3, "patient")
    await until(lambda: bool(brokers.again), 5)
    assert brokers.asked == ["grown"] * (3 * unknown_partitions.QUESTIONS + 1)


async def test_what_is_forgotten_comes_no_more() -> None:
    brokers = Brokers({"grown": 4})
    brokers.unknown.keep("grown", 3, "gone")
    brokers.unknown.clear()
    await asyncio.sleep(5 * unknown_partitions.ASK_AFTER_S)
    assert not brokers.unknown
    assert not brokers.again + brokers.refused
