"""Records that have arrived and that nobody has taken yet: aiokafka keeps them parked, of each partition what one fetch
brought."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from aiokafka import ConsumerRecord
from aiokafka.consumer.fetcher import FetchResult
from aiokafka.structs import TopicPartition

from .fetch_wait import FetchWait
from .topic_partition import TP

PARKED_BACKOFF_S = 0.03
"""How long what has arrived for one partition holds up the next fetch for the others, so that the partition can be
part of it. Without any, a busy partition misses every other fetch (measured: 60 ms from producer to agent instead of
4); with aiokafka's 0.1, partitions that are full hold up the free ones."""


def take_parked(
    fetcher: Any, rooms: Mapping[TP, int], most: int, fetch_wait: FetchWait
) -> dict[TP, list[ConsumerRecord]]:
    """Up to `rooms[tp]` parked records of each partition and `most` in all, round robin: a partition that still has
    some goes to the end of the queue. Nothing is dropped of partitions without room.

    Raises:
        aiokafka.errors.KafkaError: what a fetch has met, once nothing that came before it is left to take.
    """
    taken: dict[TP, list[ConsumerRecord]] = {}
    for tp in list(fetcher._records):
        room = rooms.get(tp, 0)
        if room <= 0:
            continue
        parked = fetcher._records[tp]
        if type(parked) is not FetchResult:
            if taken:
                break  # its turn comes with the next fetch
            _drop(fetcher, tp)
            parked.check_raise()
            continue
        records = parked.getall(min(room, most))
        if parked.has_more():
            fetcher._records.move_to_end(tp)
        else:
            fetch_wait.used_up(parked._created)
            _drop(fetcher, tp)
        if records:
            taken[TP(*tp)] = records
            most -= len(records)
            if most <= 0:
                break
    return taken


def _drop(fetcher: Any, tp: TopicPartition) -> None:
    del fetcher._records[tp]
    fetcher._notify(fetcher._wait_consume_future)  # lets the next fetch include it


def waiting(fetcher: Any, fetch_wait: FetchWait) -> Callable[[Any], Any]:
    """The fetcher's making of requests, with the wait of those that it makes now, by what is parked; Faust passes a
    fixed 1,500 ms."""
    make = fetcher._get_actions_per_node

    def made(assignment: Any) -> Any:
        fetcher._fetch_max_wait_ms = fetch_wait.ms(parked._created for parked in fetcher._records.values())
        return make(assignment)

    return made
