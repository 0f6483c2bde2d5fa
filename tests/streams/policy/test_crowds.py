"""How many records of one person wait in memory, and when the others come again."""

from __future__ import annotations

import pytest

from connectors.kafka.topic_partition import TP
from streams.policy.crowds import APART_MS, WHEEL_LATE_MS, Crowds
from streams.policy.intake_windows import LEAST_OF_A_PERSON, WHEEL_WINDOW, line_limits, windows
from streams.policy.wheel import SHORTEST_MS
from tests.streams.policy.test_desk import PARTITIONS

from .installation import NOW

REQUESTS, WHEEL = "comms.requests.shop", "comms.deferred.1s"
ANN, BOB = b"+41791234567", b"+41791234568"
MOST = 5


def crowds() -> Crowds:
    return Crowds(lambda topic: MOST)


@pytest.mark.parametrize("topic", [REQUESTS, WHEEL])
def test_what_exceeds_the_limit_comes_again_one_by_one_and_concerns_nobody_else(topic: str) -> None:
    here = crowds()
    assert [here.comes_again_at(ANN, topic, waiting, NOW) for waiting in range(MOST)] == [None] * MOST
    put_off = [here.comes_again_at(ANN, topic, MOST, NOW, put_off=True) for _ in range(3)]
    assert put_off == [NOW + SHORTEST_MS + n * APART_MS for n in range(3)]
    assert here.comes_again_at(BOB, topic, 0, NOW) is None


def test_a_new_request_does_not_overtake_those_that_were_put_off_and_waits_for_no_others() -> None:
    here = crowds()
    put_off = here.comes_again_at(ANN, REQUESTS, MOST, NOW)
    assert put_off is not None
    assert here.comes_again_at(ANN, REQUESTS, 0, NOW + 1) == put_off + APART_MS
    assert here.comes_again_at(ANN, REQUESTS + ".urgent", 0, NOW + 1, urgent=True) is None
    assert here.comes_again_at(ANN, "comms.requests.login", 0, NOW + 1) is None
    assert here.comes_again_at(ANN, REQUESTS, 0, put_off + 2 * APART_MS + WHEEL_LATE_MS) is None


def test_what_comes_from_the_wheel_waits_for_room_alone_and_no_longer_than_a_second_the_first_time() -> None:
    here = crowds()
    for _ in range(1_000):
        here.comes_again_at(ANN, WHEEL, MOST, NOW, put_off=True)
    assert here.comes_again_at(ANN, WHEEL, 0, NOW) is None
    assert here.comes_again_at(ANN, WHEEL, MOST, NOW) == NOW + SHORTEST_MS, "it may be another app's"
    assert here.comes_again_at(ANN, WHEEL, MOST, NOW, urgent=True, put_off=True) == NOW + SHORTEST_MS


def test_people_who_were_put_off_are_forgotten_when_their_records_are_back() -> None:
    here = crowds()
    for number in range(5_000):
        here.comes_again_at(number, REQUESTS, MOST, NOW + number * 10)
    assert len(here._free_from) < 1_100


@pytest.mark.parametrize("apps", [1, 40, 1000])
def test_one_person_takes_a_tenth_of_a_window_or_a_handful(apps: int) -> None:
    window, most = windows(apps, PARTITIONS), line_limits(apps, PARTITIONS)
    for topic in (REQUESTS, WHEEL):
        share = most(topic) / window(TP(topic, 0))
        assert share <= 0.1 or most(topic) == LEAST_OF_A_PERSON
        assert share <= 0.25
    assert most(WHEEL) == WHEEL_WINDOW // 10
