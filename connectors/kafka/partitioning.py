"""Which partition a key belongs to: Java's default partitioner, which librdkafka calls `murmur2_random`."""

from __future__ import annotations

from struct import unpack_from

_MASK = 0xFFFFFFFF
_M = 0x5BD1E995
_SEED = 0x9747B28C  # org.apache.kafka.common.utils.Utils.murmur2


def murmur2(key: bytes) -> int:
    """Hash of a key, as the unsigned 32-bit form of what Java's `Utils.murmur2` returns."""
    length = len(key)
    h = _SEED ^ length
    whole = length & ~3
    for k in unpack_from(f"<{length >> 2}I", key):
        k = (k * _M) & _MASK
        h = ((h * _M) ^ ((k ^ (k >> 24)) * _M)) & _MASK
    if whole < length:
        h = ((h ^ int.from_bytes(key[whole:], "little")) * _M) & _MASK
    h = ((h ^ (h >> 13)) * _M) & _MASK
    return h ^ (h >> 15)


def partition_of(key: bytes, partitions: int) -> int:
    """Partition of a non-null key in a topic with that many partitions.

    Raises:
        ValueError: no partitions.
    """
    if partitions < 1:
        raise ValueError(f"a topic has at least one partition, not {partitions}")
    return (murmur2(key) & 0x7FFFFFFF) % partitions
