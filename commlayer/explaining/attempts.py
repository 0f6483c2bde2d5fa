"""The attempts of a message in `comms.attempts`: they lie on the partition of its lane's group."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from commlayer.topic_reader import Progress, TopicReader
from schemas.errors import DecodeError
from schemas.records import Attempt, LifecycleEvent, MessageStatus
from schemas.topics import ATTEMPTS
from streams.control.switches import Switches
from streams.dispatch.lanes import LaneTable

from .story import Said, moment_of

CLOCKS_DIFFER_MS = 60_000
"""Records were written by several machines, and are looked for by their moments."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where attempts may lie.

    Attributes:
        table: lanes and groups as configured.
        switches: what `comms.control` says; it knows groups that were moved.
    """

    table: LaneTable
    switches: Switches

    def of(self, lane: str) -> frozenset[int]:
        """Partitions on which the lane's group lies or lay; empty for one that is not configured."""
        if lane not in self.table.lanes:
            return frozenset()
        moved = self.switches.place(self.table.lanes[lane].group)
        known = (None, None) if moved is None else (moved.from_partition, moved.to_partition)
        return frozenset({self.table.partition_of(lane), *(each for each in known if each is not None)})


@dataclass(frozen=True, slots=True)
class Found:
    """What was found.

    Attributes:
        attempts: INTENTs and RESULTs, in no order.
        unknown: lanes that are not configured any more: nobody knows where their attempts lie.
    """

    attempts: tuple[Attempt, ...] = ()
    unknown: tuple[str, ...] = ()


def of_message(
    reader: TopicReader, message_id: str, said: Iterable[Said], places: Places, *, progress: Progress | None = None
) -> Found:
    """The attempts of a message of which this was said.

    Raises:
        KafkaUnreachable, TopicMissing, RegistryUnavailable: see there.
    """
    events = [each for each in said if isinstance(each, LifecycleEvent)]
    lanes = sorted({each.lane for each in events if each.lane is not None})
    if not lanes:
        return Found()
    since_ms = min(each.at for each in events if each.lane is not None) - CLOCKS_DIFFER_MS
    until_ms = _until_ms(events)
    found: list[Attempt | None] = []
    for partition in sorted(frozenset().union(*map(places.of, lanes))):
        found += [
            _read(reader, message.value())
            for message in reader.of_partition(
                ATTEMPTS, partition, since_ms=since_ms, until_ms=until_ms, progress=progress
            )
            if message.key() == message_id.encode()
        ]
    unknown = tuple(lane for lane in lanes if not places.of(lane))
    return Found(tuple(each for each in found if each is not None), unknown)


def _until_ms(events: list[LifecycleEvent]) -> int | None:
    """No attempt comes after the last word of dispatch, unless policy let the message in once more."""
    newest = max(events, key=lambda each: (each.round, moment_of(each)))
    if newest.status is MessageStatus.ADMITTED:
        return None
    return newest.at + CLOCKS_DIFFER_MS


def _read(reader: TopicReader, value: bytes | None) -> Attempt | None:
    try:
        record = reader.decoded(value or b"")
    except DecodeError:
        return None
    return record if isinstance(record, Attempt) else None
