"""Where reading of a newly assigned partition begins, and whether anything was lost before that point.

Kafka clients answer a committed offset that the log no longer holds by moving to one end of it in silence
(`auto_offset_reset`); here it is a decision that somebody is told of.
"""

from __future__ import annotations

from typing import NamedTuple

from .hooks import Loss
from .topic_partition import TP


class LogBounds(NamedTuple):
    """Offset of the first record that a partition still holds, and of the next one to be written."""

    start: int
    end: int


class Start(NamedTuple):
    """Where to read on, and what can no longer be read."""

    offset: int
    loss: Loss | None


def start_position(tp: TP, position: int | None, log: LogBounds) -> Start:
    """Where to read on after `position`, the group's committed offset or the point reached; None: nothing yet.

    A new group reads everything there is. A position below the log's start lost what lies between. A position beyond
    its end belongs to a log that is gone: the topic was made anew, and all that it holds is new.
    """
    if position is None:
        return Start(log.start, None)
    if position < log.start:
        return Start(log.start, Loss(tp, position, log.start, position, "retention"))
    if position > log.end:
        return Start(log.start, Loss(tp, log.start, log.start, position, "truncated"))
    return Start(position, None)
