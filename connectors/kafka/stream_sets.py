"""Stand-ins for the collections that Faust's streams write to behind the consumer's back.

The compiled stream iterator does not call `Consumer.ack`; it puts offsets and messages into the consumer's own sets.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .topic_partition import TP


class Forgetting:
    """A set, and a mapping of sets, that keeps nothing: the ledger knows what is outstanding."""

    def add(self, item: object) -> None:
        """Forget it."""

    def discard(self, item: object) -> None:
        """It is not there."""

    def __contains__(self, item: object) -> bool:
        return False

    def __len__(self) -> int:
        return 0

    def __getitem__(self, key: object) -> Forgetting:
        return self

    def pop(self, key: object, default: object = None) -> object:
        """Nothing is there."""
        return default


class AckedOffsets:
    """A mapping of lists; what a stream without `noack()` appends for a partition is finished in the ledger."""

    def __init__(self, finish: Callable[[TP, int], object]) -> None:
        self._finish = finish

    def __getitem__(self, tp: Any) -> AckedOffsetsOfPartition:
        return AckedOffsetsOfPartition(self._finish, TP(*tp))

    def pop(self, key: object, default: object = None) -> object:
        """Nothing is kept."""
        return default


class AckedOffsetsOfPartition:
    """See AckedOffsets."""

    def __init__(self, finish: Callable[[TP, int], object], tp: TP) -> None:
        self._finish = finish
        self._tp = tp

    def append(self, offset: int) -> None:
        """Finish it."""
        self._finish(self._tp, offset)
