"""Record batches made byte by byte: what a broker takes though no client library would write it."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.protocol.produce import ProduceRequest
from aiokafka.record.util import calc_crc32c, encode_varint

_MAGIC = 2
_NO_EPOCH = -1
_NO_PRODUCER = (-1, -1, -1)  # id, epoch, sequence
_TIMESTAMP_MS = 1_700_000_000_000


def record(
    value: bytes | None,
    *,
    key: bytes | None = None,
    headers: Sequence[tuple[bytes, bytes | None]] = (),
    attributes: int = 0,
    offset_delta: int = 0,
) -> bytes:
    """One record of a batch. `attributes` is one byte of which Kafka uses nothing yet."""
    parts = [bytes([attributes]), _varint(0), _varint(offset_delta), _sized(key), _sized(value), _varint(len(headers))]
    for name, content in headers:
        parts += [_sized(name), _sized(content)]
    body = b"".join(parts)
    return _varint(len(body)) + body


def batch(*records: bytes, base_offset: int = 0) -> bytes:
    """An uncompressed batch of these records (format of Kafka 0.11 and later)."""
    last = len(records) - 1
    covered = struct.pack(">hiqqqhii", 0, last, _TIMESTAMP_MS, _TIMESTAMP_MS, *_NO_PRODUCER, len(records))
    covered += b"".join(records)
    head = struct.pack(">ibI", _NO_EPOCH, _MAGIC, calc_crc32c(covered))
    return struct.pack(">qi", base_offset, len(head) + len(covered)) + head + covered


async def write(bootstrap: str, topic: str, partition: int, content: bytes) -> int:
    """Have the broker append a batch. Returns the offset of its first record."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    try:
        client = producer.client
        await client.set_topics([topic])
        node = client.cluster.leader_for_partition(TopicPartition(topic, partition))
        answer = await client.send(
            node,
            ProduceRequest(
                transactional_id=None,
                required_acks=-1,
                timeout=10_000,
                topics=[(topic, [(partition, content)])],
            ),
        )
        [(_, [(_, error, offset, *_)])] = answer.topics
        assert error == 0, f"the broker refused the batch: error {error}"
        return int(offset)
    finally:
        await producer.stop()


def _varint(number: int) -> bytes:
    out = bytearray()
    encode_varint(number, out.append)
    return bytes(out)


def _sized(content: bytes | None) -> bytes:
    return _varint(-1) if content is None else _varint(len(content)) + content
