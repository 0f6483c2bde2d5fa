"""Defect 7. SIGTERM while a record is unfinished: the process ends soon, with the finished prefix committed.

Stock waits for the record, for ever (it needed SIGKILL after ten minutes).
"""

import signal
import subprocess
import time
from collections.abc import Callable

import pytest

from tests.hazards.conftest import MakeProbe
from tests.support.probe import Habit

RECORDS, UNFINISHED = 20, 12
HABIT = Habit(unfinished=(UNFINISHED,), commit_interval_s=120.0)
PROMISED_S = 15


def test_stock_hangs(probe: MakeProbe, filled: Callable[..., str]) -> None:
    stock = probe("stock", {filled(RECORDS, partitions=1): 1})
    worker = stock.start(HABIT)
    stock.wait_for("taken", RECORDS)
    worker.signal(signal.SIGTERM)
    with pytest.raises(subprocess.TimeoutExpired):
        worker.wait(PROMISED_S)


def test_the_process_ends_in_time_with_the_finished_prefix_committed(
    probe: MakeProbe, filled: Callable[..., str]
) -> None:
    topic = filled(RECORDS, partitions=1)
    ours = probe("ours", {topic: 1})
    worker = ours.start(HABIT)
    ours.wait_for("taken", RECORDS)
    told_at = time.monotonic()
    worker.signal(signal.SIGTERM)
    assert worker.wait(60) == 0
    assert time.monotonic() - told_at < PROMISED_S
    assert ours.committed(topic) == {0: UNFINISHED}
