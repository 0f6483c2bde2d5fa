"""How many records of one person may wait in memory, and when one that exceeds that comes again.

A person's records are served one at a time. Without a limit, hundreds of them that take long (a look-up that hangs, or
a program that writes to one number in a loop) would fill the delivery window of their partition, and everybody else in
it would wait with them. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

from .wheel import SHORTEST_MS, TIER_OF_TOPIC

APART_MS = 20
"""What exceeds the limit comes again one by one, so far apart: a decision takes some 5 to 10 ms, so that most find room
then, and go round no second time."""
WHEEL_LATE_MS = 1_000
"""The wheel is late by no more: a request that comes so soon after the last of them must not overtake it."""
_SWEEP_AT = 1_000


class Crowds:
    """See the module. The caller brings the clock.

    Args:
        most: how many records of one person may wait, by topic.
    """

    def __init__(self, most: Callable[[str], int]) -> None:
        self._most = most
        self._free_from: dict[tuple[Hashable, str, bool], int] = {}
        self._sweep_at = _SWEEP_AT

    def comes_again_at(
        self, key: Hashable, topic: str, waiting: int, now_ms: int, *, urgent: bool = False, put_off: bool = False
    ) -> int | None:
        """When a record of this topic should come again, epoch milliseconds UTC; None: it may wait here.

        Args:
            key: the person.
            waiting: records of this person and topic that wait already, as urgent as it is.
            put_off: it went round for this once before.
        """
        place, on_wheel = (key, topic, urgent), topic in TIER_OF_TOPIC
        free_from = self._free_from.get(place, 0)
        # What comes back from the wheel has waited its time; a new request waits behind those sent there before it.
        behind_others = not on_wheel and free_from > now_ms - WHEEL_LATE_MS
        if waiting < self._most(topic) and not behind_others:
            return None
        soon = now_ms + SHORTEST_MS
        if on_wheel and not put_off:
            return soon  # all apps share the wheel: who is new there need not wait behind a crowd of another's
        moment = max(free_from, soon)
        self._free_from[place] = moment + APART_MS
        self._forget(now_ms)
        return moment

    def clear(self) -> None:
        """Forget everybody: the partitions went to other workers."""
        self._free_from.clear()

    def _forget(self, now_ms: int) -> None:
        if len(self._free_from) < self._sweep_at:
            return
        self._free_from = {place: at for place, at in self._free_from.items() if at > now_ms - WHEEL_LATE_MS}
        self._sweep_at = max(_SWEEP_AT, 2 * len(self._free_from))
