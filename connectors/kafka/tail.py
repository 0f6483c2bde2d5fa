"""Follows whole topics beside any group, and knows how far behind it may be at most.

librdkafka tells when a partition's end is first reached, and then nothing while nothing is written: silence looks the
same whether the partition is quiet or its broker cannot be reached. So the ends are asked for: one ListOffsets request
per broker, about five times a second. The tail is as fresh as the *sending* of the latest question whose answered ends
have all been read. An answer holds all that was acknowledged before it was asked for: a leader answers with the high
watermark, and a new leader that does not know it yet refuses (KIP-207).
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future

import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition
from confluent_kafka.admin import AdminClient, ListOffsetsResultInfo, OffsetSpec

from .asking import Stopped
from .lease import boot_time
from .settings import KafkaSettings
from .topic_ids import topic_ids
from .topic_partition import TP

log = structlog.get_logger(__name__)

ASK_EVERY_S = 0.2
"""A fifth of the second that freshness may be old: one answer may be lost or late."""
ANSWER_WITHIN_S = 1.0  # an older answer would prove nothing that is worth knowing
SETUP_TIMEOUT_S = 5.0
BATCH = 500
ANSWERED_AFTER_S = 0.02  # mostly: a question is looked at again then
POLL_S = 0.1  # how late a stop is noticed; a record that comes ends the wait
RETRY_S = 0.5
NEVER = float("-inf")


class NotNow(Exception):
    """A record cannot be taken yet: the tail tries it again a little later, and is not fresh until then."""


class Tail:
    """Reads what the last `keep_ms` hold of these topics, all partitions, and then whatever is written.

    Args:
        settings: how Kafka is reached.
        topics: they must exist; until they do, the tail stays as it was at the start: never fresh.
        keep_ms: how far back it begins.
        take: given every record, in the order of its partition, in the tail's own thread. May raise `NotNow`.
        now_ms: epoch milliseconds UTC.
        clock: seconds for `age_s`.
    """

    def __init__(
        self,
        settings: KafkaSettings,
        topics: Iterable[str],
        *,
        keep_ms: int,
        take: Callable[[Message], None],
        now_ms: Callable[[], int],
        clock: Callable[[], float] = boot_time,
    ) -> None:
        self._config = {**settings.client_config(), "client.id": "commlayer-tail", "log_level": 0}
        self._settings = settings
        self._topics = tuple(topics)
        self._keep_ms = keep_ms
        self._take = take
        self._now_ms = now_ms
        self._clock = clock
        self._positions: dict[TP, int] = {}
        self._ids: dict[str, str] = {}
        self._as_of = NEVER
        self._in_trouble = False
        self._read_through = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, in a thread of its own; called inside the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="kafka tail", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End; returns when nothing is taken any more."""
        self._stopping.set()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    def age_s(self) -> float:
        """Everything that Kafka had acknowledged so many seconds ago was taken; infinity before the first time."""
        return self._clock() - self._as_of

    async def read_once(self) -> None:
        """Wait until the ends were reached for the first time."""
        await self._read_through.wait()

    # In the thread ----------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._follow()
            except Stopped:
                return
            except Exception as error:  # a tail that ends would stay stale until the next restart
                if not self._in_trouble:  # told once, not at every attempt
                    expected = isinstance(error, KafkaException | NotNow)
                    log.warning("tail begins anew", topics=self._topics, why=str(error), exc_info=not expected)
                self._in_trouble = True
            self._stopping.wait(RETRY_S)

    def _follow(self) -> None:
        consumer = Consumer(
            {
                **self._settings.reader_config("commlayer-tail"),  # ends are told: the log may end in holes
                "auto.offset.reset": "earliest",  # a start that retention overtook: what is left is read
                "isolation.level": "read_uncommitted",  # somebody's open transaction must not hide the STOPs behind it
            }
        )
        admin = AdminClient(self._config)
        try:
            self._begin(consumer, admin)
            self._read(consumer, admin)
        finally:
            consumer.close()

    def _begin(self, consumer: Consumer, admin: AdminClient) -> None:
        self._forget_former_topics(admin)
        partitions = [tp for topic in self._topics for tp in self._partitions(consumer, topic)]
        fresh = [tp for tp in partitions if tp not in self._positions]
        if fresh:
            # Asked first: where nothing has been written since, all that comes now lies at or beyond these ends.
            ends = _answers(_ask_ends(admin, fresh))
            if not ends:
                raise NotNow("not every leader told the end of its partition")
            since = max(0, self._now_ms() - self._keep_ms)
            asked = [TopicPartition(tp.topic, tp.partition, since) for tp in fresh]
            for found in consumer.offsets_for_times(asked, timeout=SETUP_TIMEOUT_S):
                if found.error is not None:
                    raise KafkaException(found.error)
                tp = TP(found.topic, found.partition)
                self._positions[tp] = found.offset if found.offset >= 0 else ends[tp]
        consumer.assign([TopicPartition(tp.topic, tp.partition, self._positions[tp]) for tp in partitions])

    def _partitions(self, consumer: Consumer, topic: str) -> list[TP]:
        if self._stopping.is_set():  # each question may take its whole time, and a stop has 14 s in all
            raise Stopped
        metadata = consumer.list_topics(topic, timeout=SETUP_TIMEOUT_S).topics[topic]
        if metadata.error is not None:
            raise KafkaException(metadata.error)
        return [TP(topic, partition) for partition in sorted(metadata.partitions)]

    def _read(self, consumer: Consumer, admin: AdminClient) -> None:
        asked_at = NEVER
        pending: dict[TP, Future[ListOffsetsResultInfo]] = {}
        goals: dict[TP, int] = {}
        while not self._stopping.is_set():
            now = self._clock()
            if not pending and not goals and now - asked_at >= ASK_EVERY_S:
                asked_at, pending = now, _ask_ends(admin, self._positions)
            until_question_s = POLL_S if goals else asked_at + ASK_EVERY_S - now
            wait_s = ANSWERED_AFTER_S if pending else min(POLL_S, until_question_s)
            for message in _arrived(consumer, wait_s):
                self._advance(message)
            if pending and all(future.done() for future in pending.values()):
                goals, pending = _answers(pending), {}
                if not goals:
                    # An admin client keeps the leaders that it once learned, and their epochs: those that are gone it
                    # asks for ever, those that came back refuse it (seen with librdkafka 2.16.0). A new one learns.
                    admin = AdminClient(self._config)
                    self._forget_former_topics(admin)
                gone = {tp for tp, end in goals.items() if end < self._positions.get(tp, 0)}
                if gone:
                    self._forget(gone)
            if goals and all(self._positions[tp] >= end for tp, end in goals.items()):
                first = self._as_of == NEVER
                self._as_of, goals = asked_at, {}
                if self._in_trouble:
                    self._in_trouble = False
                    log.info("tail is fresh again", topics=self._topics)
                if first and self._loop is not None:
                    self._loop.call_soon_threadsafe(self._read_through.set)

    def _forget_former_topics(self, admin: AdminClient) -> None:
        """Where a topic was made anew, what was read says nothing about it.

        Raises:
            NotNow: so it was with one that is being read: it must be begun anew.
        """
        ids = topic_ids(admin, self._topics)
        anew = {topic for topic, known in self._ids.items() if ids.get(topic, known) != known}
        gone = {tp for tp in self._positions if tp.topic in anew}
        self._ids.update(ids)
        if gone:
            self._forget(gone)

    def _forget(self, partitions: set[TP]) -> None:
        for tp in partitions:
            del self._positions[tp]
        topics = ", ".join(sorted({tp.topic for tp in partitions}))
        raise NotNow(f"{topics} ends below what was read of it, or was made anew: it is read again")

    def _advance(self, message: Message) -> None:
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            if error.fatal():
                raise KafkaException(error)
            return  # librdkafka goes on by itself; until then nothing becomes fresh
        tp, offset = TP(message.topic(), message.partition()), message.offset()
        if error is not None:
            self._positions[tp] = max(self._positions[tp], offset)
        elif offset >= self._positions[tp]:
            self._take(message)
            self._positions[tp] = offset + 1


def _arrived(consumer: Consumer, within_s: float) -> list[Message]:
    """What has arrived; waits only for the first."""
    first = consumer.poll(within_s)
    return [] if first is None else [first, *consumer.consume(BATCH - 1, timeout=0)]


def _ask_ends(admin: AdminClient, partitions: Iterable[TP]) -> dict[TP, Future[ListOffsetsResultInfo]]:
    asked = {TopicPartition(tp.topic, tp.partition): OffsetSpec.latest() for tp in partitions}
    answers = admin.list_offsets(asked, request_timeout=ANSWER_WITHIN_S)
    return {TP(tp.topic, tp.partition): future for tp, future in answers.items()}


def _answers(futures: dict[TP, Future[ListOffsetsResultInfo]]) -> dict[TP, int]:
    """The ends; nothing when any partition's leader did not answer."""
    try:
        ends = {tp: int(future.result().offset) for tp, future in futures.items()}
    except KafkaException:
        return {}
    # A question that ran out ends without an error and with the offset -1001 (seen with librdkafka 2.16.0).
    return ends if all(end >= 0 for end in ends.values()) else {}
