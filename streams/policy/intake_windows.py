"""How many records of a partition policy holds at once, and how many of them may be one person's."""

from __future__ import annotations

from collections.abc import Callable

from connectors.kafka.topic_partition import TP
from connectors.kafka.window import DEFAULT_WINDOW

from .desk import ABOUT_PEOPLE
from .wheel import TIER_OF_TOPIC

WHEEL_WINDOW = 200
"""Records of one wheel partition held at once. They are held for hours, so this is memory; those behind them wait in
the log, in due order."""

REQUESTS_HELD = 50_000
"""Requests in memory at once, whatever the number of apps: a hundred megabytes of them."""
LEAST_WINDOW = 20
"""A partition with less would stand still between two fetches."""

PART_OF_A_PERSON = 10
"""One person's records may be so small a part of a window: nine more would have to be in trouble before anybody else
waits."""
LEAST_OF_A_PERSON = 5
"""So many may wait in any case: what an app says at once to one person is seldom more."""


def windows(apps: int, partitions: int) -> Callable[[TP], int]:
    """Delivery windows for `create_app`: a process that serves all partitions of all apps holds no more than it may."""
    share = REQUESTS_HELD // max(1, 2 * apps * partitions)  # each app has an urgent topic as well
    requests = min(DEFAULT_WINDOW, max(LEAST_WINDOW, share))

    def window(tp: TP) -> int:
        if tp.topic in TIER_OF_TOPIC:
            return WHEEL_WINDOW
        return DEFAULT_WINDOW if tp.topic in ABOUT_PEOPLE else requests

    return window


def line_limits(apps: int, partitions: int) -> Callable[[str], int]:
    """How many records of one person and one topic may wait, by topic."""
    window = windows(apps, partitions)

    def most(topic: str) -> int:
        return max(LEAST_OF_A_PERSON, window(TP(topic, 0)) // PART_OF_A_PERSON)

    return most
