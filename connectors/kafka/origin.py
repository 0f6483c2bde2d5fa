"""Where a record was first written, and how it gets from a wrong partition to its right one.

Everything that belongs to one recipient is decided by the owner of the recipient's partition. A record that a client
with another partitioner wrote elsewhere is written again, where it belongs; its ids follow from where it was first.
"""

from __future__ import annotations

from typing import Any, Protocol

from connectors.kafka.partitioning import partition_of
from connectors.kafka.publisher import DurablePublisher, Position

ORIGIN_HEADER = "commlayer-origin"
"""`<topic>:<partition>:<offset>` of the record as first written."""
ORIGIN_TIME_HEADER = "commlayer-origin-time"
"""Its timestamp, epoch milliseconds UTC. A topic that was deleted and made anew has the same places once more."""

_DIGITS = 19
_LARGEST = (1 << 63) - 1  # offsets are signed 64-bit; partitions are smaller, but what an app claims hurts only itself


class Source(Protocol):
    """What is read of a consumed record (Faust's and aiokafka's messages have it).

    Attributes:
        timestamp: epoch seconds; None or negative when unknown.
        headers: pairs of name and value, or None.
    """

    topic: str
    partition: int
    offset: int
    timestamp: float | None
    key: bytes | None
    value: bytes | None
    headers: Any


def headers_of(message: Source) -> list[tuple[str, bytes]]:
    """The record's headers as bytes, in their order; a header without value has an empty one."""
    return [(name, value if value is not None else b"") for name, value in message.headers or ()]


def origin_of(message: Source) -> Position:
    """Where the record was first written: by its header when that names the record's own topic, else where it is now.

    Who may write to a topic could put anything into the header: naming another app's topic is not believed.
    """
    claimed = _claimed(message)
    return claimed if claimed is not None else Position(message.topic, message.partition, message.offset)


def written_at(message: Source) -> int | None:
    """When the record was first written, by its own timestamp, epoch milliseconds UTC: the same however often it is
    read. None where it has none, or where whoever wrote it again did not tell."""
    if _claimed(message) is None:
        known = message.timestamp is not None and message.timestamp >= 0
        return round(message.timestamp * 1000) if known and message.timestamp is not None else None
    return time_in(message)


def time_in(message: Source) -> int | None:
    """The time that a record's header tells of the record as first written, epoch milliseconds UTC."""
    for name, value in headers_of(message):
        if name == ORIGIN_TIME_HEADER and value.isdigit() and len(value) <= _DIGITS:
            return int(value)
    return None


def time_headers(written_at: int | None) -> list[tuple[str, bytes]]:
    """The header that tells it."""
    return [] if written_at is None else [(ORIGIN_TIME_HEADER, str(written_at).encode())]


def rewritten_headers(message: Source) -> list[tuple[str, bytes]]:
    """The record's headers when it is written to its topic again: the others as they are, and where and when it was
    first."""
    origin = ":".join(map(str, origin_of(message))).encode()
    others = (header for header in headers_of(message) if header[0] not in (ORIGIN_HEADER, ORIGIN_TIME_HEADER))
    return [*others, (ORIGIN_HEADER, origin), *time_headers(written_at(message))]


async def republish_to_right_partition(
    publisher: DurablePublisher, message: Source, *, key: bytes, partitions: int
) -> bool:
    """Write the record again, with this key, to the partition that the key belongs to, and wait for the ack.

    Args:
        key: the right key, whatever the record's own is: its recipient.
        partitions: partition count of the record's topic.

    Returns:
        False when it lies in the right partition already. True when it was written again: finish it without effect.

    Raises:
        PublishRejected, PublisherClosed: see DurablePublisher.
    """
    right = partition_of(key, partitions)
    if message.partition == right:
        return False
    headers = rewritten_headers(message)
    await publisher.publish(message.topic, message.value, key=key, partition=right, headers=headers)
    return True


def _claimed(message: Source) -> Position | None:
    """Where its header says that it was first, where that is to be believed."""
    for name, value in headers_of(message):
        if name == ORIGIN_HEADER:
            origin = _parsed(value)
            if origin is not None and origin.topic == message.topic:
                return origin
    return None


def _parsed(value: bytes) -> Position | None:
    topic, _, rest = value.decode("ascii", "replace").partition(":")
    partition, _, offset = rest.partition(":")
    if not (partition.isdecimal() and offset.isdecimal()):
        return None
    if len(offset) > _DIGITS or len(partition) > _DIGITS or int(offset) > _LARGEST:
        return None
    return Position(topic, int(partition), int(offset))
