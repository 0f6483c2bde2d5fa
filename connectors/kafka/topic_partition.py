"""The name of one partition."""

from __future__ import annotations

from typing import NamedTuple


class TP(NamedTuple):
    """A partition of a topic. As tuples, Faust's `TP` and aiokafka's `TopicPartition` are equal to it and hash alike:
    the three may be mixed as keys."""

    topic: str
    partition: int
