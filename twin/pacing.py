"""Whether a sender was over-driven, told from the outside.

A sender with rate r is driven well when in every window of W seconds no more than r × W segments, and one message,
begin to arrive. The excess is by how many segments the worst window breaks this.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Excess:
    """The worst window of a sender.

    Attributes:
        segments: over what was allowed; 0 or less means the sender was never over-driven.
        from_s, until_s: the window, from the arrival of its first to that of its last message.
        carried: segments in it.
        largest: segments of the largest message of all.
    """

    segments: float
    from_s: float
    until_s: float
    carried: int
    largest: int


def worst_window(arrivals: Iterable[tuple[float, int]], rate: float, *, tolerance_s: float = 0.0) -> Excess | None:
    """Find the worst window.

    Args:
        arrivals: (time in s, segments) of each message.
        rate: segments per second.
        tolerance_s: how unevenly the way from the sender to here may delay a request.

    Returns:
        None when nothing arrived.
    """
    ordered = sorted(arrivals)
    if not ordered:
        return None
    largest = max(cost for _, cost in ordered)
    worst: Excess | None = None
    before = 0  # segments that arrived before the present message
    lowest, since, lowest_before = float("inf"), 0.0, 0
    for at, cost in ordered:
        # carried − rate × width of a window that begins at `since` = (before + cost − rate × at) − lowest
        level = before - rate * at
        if level < lowest:
            lowest, since, lowest_before = level, at, before
        over = level + cost - lowest - largest - rate * tolerance_s
        if worst is None or over > worst.segments:
            worst = Excess(over, since, at, before + cost - lowest_before, largest)
        before += cost
    return worst
