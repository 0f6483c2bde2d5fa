"""Answers that still hold, of as many people as there is room for."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Cache(Generic[T]):
    """Forgets what is over, and when it is full, who was asked for longest ago. The caller brings the clock."""

    def __init__(self, entries: int) -> None:
        self._room = entries
        self._kept: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, key: Hashable, now: float) -> T | None:
        """What holds for the key at this moment, monotonic seconds."""
        kept = self._kept.get(key)
        if kept is None:
            return None
        until, value = kept
        if now >= until:
            del self._kept[key]
            return None
        self._kept.move_to_end(key)
        return value

    def put(self, key: Hashable, value: T, until: float) -> None:
        """Keep the value until this moment, monotonic seconds."""
        self._kept[key] = (until, value)
        self._kept.move_to_end(key)
        if len(self._kept) > self._room:
            self._kept.popitem(last=False)
