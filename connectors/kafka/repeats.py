"""Keeps aiokafka's complaints about an absent broker to one line per kind and minute: it makes ten a second."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

QUIET_S = 60.0
"""How long a message of the same form stays unsaid after it was logged."""

_LOGGERS = (
    "aiokafka",
    "aiokafka.client",
    "aiokafka.cluster",
    "aiokafka.conn",
    "aiokafka.consumer.consumer",
    "aiokafka.consumer.fetcher",
    "aiokafka.consumer.group_coordinator",
)


class OncePerForm(logging.Filter):
    """Passes a warning or error, then no other of the same logger and form for `quiet_s`; the next one says how many
    were left out. Lower levels pass."""

    def __init__(self, quiet_s: float = QUIET_S, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._quiet_s = quiet_s
        self._clock = clock
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Called by logging."""
        if record.levelno < logging.WARNING:
            return True
        form = (record.name, str(record.msg))
        said_at, left_out = self._said.get(form, (-self._quiet_s, 0))
        now = self._clock()
        if now - said_at < self._quiet_s:
            self._said[form] = (said_at, left_out + 1)
            return False
        self._said[form] = (now, 0)
        if left_out:
            record.msg = f"{record.msg} (and {left_out} more like it)"
        return True


def say_repeats_once() -> None:
    """Put the filter on aiokafka's loggers."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(known, OncePerForm) for known in logger.filters):
            logger.addFilter(OncePerForm())
