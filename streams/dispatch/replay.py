"""Reads the attempts log: on assignment, from the position that the commits note to its end; later, for what it says of
single messages and people.

All of it blocks in threads of its own; the loop goes on.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

import structlog
from confluent_kafka import Message

from connectors.kafka.asking import Stopped
from connectors.kafka.log_reader import LogReader, Stretch
from connectors.kafka.partitioning import partition_of
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.topic_partition import TP
from schemas.codec import Codec
from schemas.errors import DecodeError, RegistryUnavailable, SchemaNotLoaded
from schemas.records import Attempt, Callback, Record
from schemas.topics import ATTEMPTS, LIFECYCLE

from .attempts import Histories
from .day_caps import DayCaps
from .lanes import LaneTable
from .pace_log import PaceLog, Places, Rates, look_back_s
from .shared_reading import About, Found

log = structlog.get_logger(__name__)

T = TypeVar("T")

REGISTRY_PAUSE_S = 1.0


@runtime_checkable
class _LoadsSchemas(Protocol):
    def load(self, schema_id: int) -> None: ...


EVERYTHING = 1 << 60
"""No limit on the number of records."""


@dataclass(slots=True)
class Restored:
    """What a stretch of the log says.

    Attributes:
        histories: of every message from the noted positions on.
        pace: what predecessors charged.
        ends: per partition, where reading ended.
        records: how many were read.
    """

    pace: PaceLog
    histories: Histories = field(default_factory=Histories)
    ends: dict[int, int] = field(default_factory=dict)
    records: int = 0


class Seen:
    """Whether a record is one of those looked for. Most are not, which is told without decoding them, and takes no
    longer the more are looked for."""

    def __init__(self, about: About) -> None:
        self._about = about
        self._keys = {each.encode() for each in about.ids}
        self._numbers = {each.encode() for each in about.people if each.startswith("+")}
        self._lengths = sorted({len(each) for each in self._numbers})
        self._others = [each.encode() for each in about.people if not each.startswith("+")]

    def in_record(self, key: bytes, value: bytes) -> bool:
        """False where it certainly is none: not by its key, and no number that is looked for is in it."""
        if key in self._keys:
            return True
        at = value.find(b"+")
        while at >= 0:
            for length in self._lengths:
                if value[at : at + length] in self._numbers:
                    return True
            at = value.find(b"+", at + 1)
        return any(each in value for each in self._others)

    def in_attempt(self, record: Attempt) -> bool:
        """Whether it is one."""
        return record.message_id in self._about.ids or record.recipient in self._about.people


class Replay:
    """Reads through the codec. One instance per process; `stop` ends what is being read."""

    def __init__(
        self,
        kafka: KafkaSettings,
        codec: Codec,
        table: LaneTable,
        *,
        now_ms: Callable[[], int],
        places: Places = lambda group: (),
    ) -> None:
        self._kafka = kafka
        self._codec = codec
        self._table = table
        self._now_ms = now_ms
        self._places = places
        self._readers: set[LogReader] = set()
        self._stopping = threading.Event()

    def stop(self) -> None:
        """End what is being read; its callers get `Stopped`."""
        self._stopping.set()
        for reader in self._readers:
            reader.stop()

    async def restore(
        self, starts: Mapping[int, int | None], rates: Rates, day_caps: DayCaps | None = None
    ) -> Restored:
        """Read these partitions to their ends.

        Args:
            day_caps: counts on from what was told of it.
            starts: partition → position from which messages may be unfinished; None for the beginning of the log.
            rates: in force now; what predecessors charged is paid off at these.
        """
        return await self._in_thread(lambda reader: self._restore(reader, starts, rates, day_caps))

    async def find(self, partition: int, since_ms: int, about: About) -> Found:
        """Records of one partition, written from `since_ms` on, of these people and messages."""
        return await self._in_thread(lambda reader: self._find(reader, partition, since_ms, Seen(about)))

    async def callbacks(self, wanted: Mapping[str, int]) -> list[Callback]:
        """What Twilio's callbacks said of these messages (id → from when on, epoch milliseconds), in the order of the
        log."""
        return await self._in_thread(lambda reader: self._callbacks(reader, wanted))

    # In a thread ------------------------------------------------------------------------------------------------------

    def _restore(
        self, reader: LogReader, starts: Mapping[int, int | None], rates: Rates, day_caps: DayCaps | None
    ) -> Restored:
        restored = Restored(PaceLog(self._table, rates))
        log_starts = {tp.partition: whole.start for tp, whole in reader.whole(_logs(starts)).items()}
        unfinished_from = {
            partition: log_starts[partition] if start is None else max(start, log_starts[partition])
            for partition, start in starts.items()
        }
        now_ms = self._now_ms()
        stretches: dict[TP, Stretch] = {}
        by_look_back: dict[float, list[int]] = {}
        for partition in starts:
            seconds = look_back_s(self._table, rates, partition, self._places)
            by_look_back.setdefault(seconds, []).append(partition)
        for seconds, partitions in by_look_back.items():
            recent = reader.recent(_logs(partitions), now_ms - int(seconds * 1000), EVERYTHING)
            for tp, stretch in recent.items():
                restored.ends[tp.partition] = stretch.end
                stretches[tp] = Stretch(min(stretch.start, unfinished_from[tp.partition]), stretch.end)

        if day_caps is not None:
            for tp, counted in self._counted_from(reader, starts, day_caps, now_ms).items():
                start = min(stretches[tp].start, max(counted, log_starts[tp.partition]))
                stretches[tp] = Stretch(start, stretches[tp].end)

        def take(message: Message) -> None:
            record = self._decoded(message)
            _go_on(reader)
            if record is None:
                return
            restored.pace.add(record)
            if day_caps is not None:
                day_caps.read(record, message.offset())
            if message.offset() >= unfinished_from[message.partition()]:
                restored.histories.add(record, message.partition(), message.offset())

        restored.records = reader.read(stretches, take)
        return restored

    def _counted_from(
        self, reader: LogReader, partitions: Iterable[int], day_caps: DayCaps, now_ms: int
    ) -> dict[TP, int]:
        """From where on what carriers take a day is still to be counted."""
        found: dict[TP, int] = {}
        for partition in partitions:
            _go_on(reader)
            start = day_caps.restored_from(partition, now_ms)
            if start is not None:
                (tp,) = _logs([partition])
                position, day_start = start
                recent = reader.recent([tp], day_start, EVERYTHING) if position is None else {}
                found[tp] = recent[tp].start if position is None else position
        return found

    def _find(self, reader: LogReader, partition: int, since_ms: int, seen: Seen) -> Found:
        # Kafka gives times below zero a meaning of its own.
        stretches = reader.recent(_logs([partition]), max(0, since_ms), EVERYTHING)
        found: Found = []

        def take(message: Message) -> None:
            if seen.in_record(message.key() or b"", message.value() or b""):
                record = self._decoded(message)
                if record is not None and seen.in_attempt(record):
                    found.append((record, message.offset()))

        reader.read(stretches, take)
        return found

    def _callbacks(self, reader: LogReader, wanted: Mapping[str, int]) -> list[Callback]:
        count = reader.partitions(LIFECYCLE)
        since: dict[TP, int] = {}
        for message_id, since_ms in wanted.items():
            tp = TP(LIFECYCLE, partition_of(message_id.encode(), count))
            since[tp] = min(since.get(tp, since_ms), since_ms)
        keys = {message_id.encode() for message_id in wanted}
        found: list[Callback] = []

        def take(message: Message) -> None:
            if message.key() in keys:
                record = self._record(message)
                if isinstance(record, Callback):
                    found.append(record)

        reader.read(reader.recent(since, max(0, min(since.values())), EVERYTHING), take)
        return found

    def _decoded(self, message: Message) -> Attempt | None:
        record = self._record(message)
        return record if isinstance(record, Attempt) else None

    def _record(self, message: Message) -> Record | None:
        data = message.value() or b""
        while True:
            try:
                record = self._codec.decode(data)
            except SchemaNotLoaded as missing:
                self._load(missing.schema_id)
            except DecodeError as error:
                # Only we write there, so it is damage; what it said of its message is lost with it.
                log.error(
                    "record cannot be read again",
                    topic=message.topic(),
                    partition=message.partition(),
                    offset=message.offset(),
                    why=str(error),
                )
                return None
            else:
                return record

    def _load(self, schema_id: int) -> None:
        assert isinstance(self._codec, _LoadsSchemas), "only a codec that can load schemas asks for one"
        while not self._stopping.is_set():
            try:
                self._codec.load(schema_id)
            except RegistryUnavailable:
                self._stopping.wait(REGISTRY_PAUSE_S)
            else:
                return
        raise Stopped

    async def _in_thread(self, work: Callable[[LogReader], T]) -> T:
        reader = LogReader(self._kafka)
        self._readers.add(reader)
        try:
            return await asyncio.to_thread(work, reader)
        finally:
            reader.stop()  # cancelled: the thread must not go on reading
            self._readers.discard(reader)


def _go_on(reader: LogReader) -> None:
    """A rebalance may have ended this restore, and the next one counts by now, in a thread of its own."""
    if reader.stopped.is_set():
        raise Stopped


def _logs(partitions: Iterable[int]) -> list[TP]:
    return [TP(ATTEMPTS, partition) for partition in partitions]
