"""What all who read the log beside the group have in common: which troubles they wait out, and how they stop.

All of it blocks: call it in a thread.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException

T = TypeVar("T")

ASK_TIMEOUT_S = 5.0
RETRY_S = 0.5
_WAITED_OUT = frozenset(
    {
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._TIMED_OUT,
        KafkaError._RESOLVE,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.REQUEST_TIMED_OUT,
    }
)


class Stopped(Exception):
    """The reader was told to stop: what it read so far is not all."""


def passes(error: KafkaError) -> bool:
    """Whether a trouble ends by itself; anything else is a reason to end the process."""
    return error.code() in _WAITED_OUT and not error.fatal()


def answered(ask: Callable[[], T], stopped: threading.Event) -> T:
    """Ask until there is an answer.

    Raises:
        Stopped: told to.
        KafkaException: Kafka refuses for good.
    """
    while True:
        try:
            return ask()
        except KafkaException as error:
            if not passes(error.args[0]):
                raise
        if stopped.wait(RETRY_S):
            raise Stopped


@contextlib.contextmanager
def reader(config: Mapping[str, object]) -> Iterator[Consumer]:
    """A consumer, closed at the end."""
    consumer = Consumer(dict(config))
    try:
        yield consumer
    finally:
        consumer.close()
