"""Taking what has arrived."""

from collections.abc import Mapping
from typing import Any

import pytest
from aiokafka.consumer.fetcher import FetchError
from aiokafka.errors import OffsetOutOfRangeError

from connectors.kafka.parked import take_parked
from connectors.kafka.topic_partition import TP
from tests.connectors.kafka.fetcher import A, B, C, Fetcher, a_wait, parked


def taken_from(fetcher: Fetcher, rooms: Mapping[TP, int], most: int) -> dict[TP, list[Any]]:
    return take_parked(fetcher, rooms, most, a_wait())


def test_each_partition_gives_at_most_its_room_and_keeps_the_rest() -> None:
    fetcher = Fetcher(a=parked(10), b=parked(2))
    assert {tp: len(r) for tp, r in taken_from(fetcher, {A: 3, B: 3}, 100).items()} == {A: 3, B: 2}
    assert list(fetcher._records) == [A]
    assert len(taken_from(fetcher, {A: 100}, 100)[A]) == 7


def test_a_partition_without_room_loses_nothing() -> None:
    fetcher = Fetcher(a=parked(10), b=parked(2))
    assert list(taken_from(fetcher, {B: 3}, 100)) == [B]
    assert len(taken_from(fetcher, {A: 100}, 100)[A]) == 10


def test_one_that_still_has_records_goes_to_the_end_of_the_queue() -> None:
    fetcher = Fetcher(a=parked(10), b=parked(10), c=parked(10))
    rooms = {A: 2, B: 2, C: 2}
    turns = [next(iter(taken_from(fetcher, rooms, 2))) for _ in range(6)]
    assert turns == [A, B, C, A, B, C]


def test_an_emptied_partition_may_be_fetched_again_at_once() -> None:
    fetcher = Fetcher(a=parked(1))
    taken_from(fetcher, {A: 3}, 100)
    assert fetcher.notified == 1


def test_an_error_waits_until_what_was_taken_is_delivered() -> None:
    error = FetchError(error=OffsetOutOfRangeError({A: 5}), backoff=0)
    fetcher = Fetcher(b=parked(1), a=error)
    assert list(taken_from(fetcher, {A: 3, B: 3}, 100)) == [B]
    with pytest.raises(OffsetOutOfRangeError):
        taken_from(fetcher, {A: 3, B: 3}, 100)
    assert not fetcher._records


def test_an_error_of_a_partition_without_room_stays() -> None:
    fetcher = Fetcher(a=FetchError(error=OffsetOutOfRangeError({A: 5}), backoff=0))
    assert taken_from(fetcher, {B: 3}, 100) == {}
    assert list(fetcher._records) == [A]
