"""Sliding windows: when there is room for one more.

A window of W milliseconds that ends at t holds what lies after t − W: something exactly W old is out of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import nlargest


def room_at(times: Iterable[int], *, at_most: int, window_ms: int, moment: int) -> int:
    """The first moment from `moment` on at which one more leaves every window with at most `at_most`.

    Args:
        times: when the others were, epoch milliseconds, in any order. One that lies ahead (another process had a faster
            clock) counts as well: room is then found rather late than early.
        at_most: at least 1.
    """
    newest = nlargest(at_most, times)
    return max(moment, newest[-1] + window_ms) if len(newest) == at_most else moment
