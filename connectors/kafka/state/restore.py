"""Reads a stretch of a state partition and folds it into its store. All of it blocks: call it in a thread."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from connectors.kafka.asking import ASK_TIMEOUT_S, Stopped, answered, passes, reader
from connectors.kafka.settings import KafkaSettings

from . import metrics
from .envelope import BadEnvelope, opened
from .fold import Fold, Folded
from .store import Reflects, Store

BATCH = 5000
POLL_S = 0.2  # how late a stop is noticed
LAST_POLL_S = 0.02
"""For less than a batch: librdkafka waits for as many records as were asked for, and compaction may have left fewer."""
FETCHED_KB = 16_384
"""What one reader holds of the log ahead of its fold; librdkafka's own 64 MB, four times at once, are most of what a
process needs."""


class OutsideLog(Exception):
    """The store reflects a position that the log does not have (any more): it is of another log."""


@dataclass(slots=True)
class Undecodable:
    """A record that is none of ours, as `Intake.dead` takes it. `why` holds nothing of key or value."""

    topic: str
    partition: int
    offset: int
    timestamp: float | None
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    why: str


class StateLog:
    """Reads the partitions of one state topic."""

    def __init__(self, topic: str, settings: KafkaSettings) -> None:
        self._topic = topic
        self._config: dict[str, object] = {
            **settings.reader_config("commlayer-state"),
            "auto.offset.reset": "error",
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 10,
            "queued.max.messages.kbytes": FETCHED_KB,
        }

    def catch_up(
        self,
        partition: int,
        store: Store,
        fold: Fold,
        end: int,
        *,
        at_ms: int,
        stopped: threading.Event,
        fresh: bool,
    ) -> tuple[int, list[Undecodable]]:
        """Fold everything up to, and without, `end` into the store. Returns how many records, and those passed over.

        Args:
            at_ms: when the log reached no further than `end`.
            fresh: the store is empty: begin where the log begins. It is then written without RocksDB's own log, which
                would be half of the work: a crash leaves an earlier position with all before it, as flushed.

        Raises:
            OutsideLog: the store's position is not in the log.
            Stopped: told to.
            KafkaException: Kafka refuses for good.
            Exception: of the disk.
        """
        tp, count = TopicPartition(self._topic, partition), 0
        bad: list[Undecodable] = []
        with reader(self._config) as consumer:
            low, high = answered(lambda: consumer.get_watermark_offsets(tp, ASK_TIMEOUT_S), stopped)
            if fresh:
                fold.skip_to(low)
            elif not low <= fold.position <= high:
                raise OutsideLog(f"{self._topic}[{partition}]: position {fold.position} is not in {low}..{high}")
            consumer.assign([TopicPartition(self._topic, partition, fold.position)])
            while fold.position < end:
                for message in _next(consumer, end - fold.position):
                    count += self._fold(message, fold, end, bad)
                # Not yet known to be at the end: only the last write may say so, or deletions could be missed.
                seen_ms = at_ms if fold.position >= end else store.reflects.at_ms
                reflects = Reflects(fold.position, fold.claim, seen_ms, dict(fold.sources))
                store.write(fold.take_changes().items(), reflects, logged=not fresh)
                if stopped.is_set():
                    raise Stopped
            if fresh:
                store.flush()
        return count, bad

    def between(
        self, partition: int, fold: Fold, end: int, stopped: threading.Event
    ) -> tuple[list[Folded], list[Undecodable]]:
        """Fold what lies before `end`, which others wrote; the store is not touched. Raises as `catch_up` does."""
        bad: list[Undecodable] = []
        outcomes: list[Folded] = []
        with reader(self._config) as consumer:
            consumer.assign([TopicPartition(self._topic, partition, fold.position)])
            while fold.position < end:
                for message in _next(consumer, end - fold.position):
                    self._fold(message, fold, end, bad, outcomes)
                if stopped.is_set():
                    raise Stopped
        return outcomes, bad

    def _fold(
        self, message: Message, fold: Fold, end: int, bad: list[Undecodable], outcomes: list[Folded] | None = None
    ) -> int:
        error, offset = message.error(), message.offset()
        if error is not None:
            if error.code() == KafkaError._PARTITION_EOF:  # read up to here, also where compaction left holes
                fold.skip_to(min(offset, end))
            elif not passes(error):
                raise KafkaException(error)
            return 0
        if offset >= end:
            fold.skip_to(end)
            return 0
        key, value, headers = message.key(), message.value(), message.headers()
        try:
            outcome = fold.take(offset, opened(key, value, headers))
        except BadEnvelope as why:
            fold.skip_to(offset + 1)
            metrics.UNDECODABLE.labels(self._topic).inc()
            whole = tuple((name, data) for name, data in headers or () if data is not None)
            at = message.timestamp()[1] / 1000
            bad.append(Undecodable(self._topic, message.partition(), offset, at, key, value, whole, str(why)))
        else:
            if outcomes is not None:
                outcomes.append(outcome)
        return 1


def _next(consumer: Consumer, most: int) -> list[Message]:
    """The next batch; there are `most` offsets left. In between an empty one may come."""
    count, timeout_s = (BATCH, POLL_S) if most >= BATCH else (most, LAST_POLL_S)
    batch: list[Message] = consumer.consume(count, timeout=timeout_s)
    return batch
