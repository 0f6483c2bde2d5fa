"""Workers are killed, stopped and paused at random, also in the middle of a rebalance, while records keep coming and
are finished in any order. None may be lost. How many are done again depends on the moment and is not asserted.
"""

import random
import signal
import threading
import time
from collections.abc import Callable

import pytest

from tests.hazards.conftest import MakeProbe
from tests.support.kafka import Kafka, Outgoing
from tests.support.probe import Habit, all_places

pytestmark = pytest.mark.timeout(400)  # after 20 s of trouble everything must be finished, however busy the machine

PARTITIONS, WORKERS, SECONDS = 8, 3, 20.0
HABIT = Habit(finish_within_s=0.4, commit_interval_s=0.2)


def test_nothing_is_lost(probe: MakeProbe, filled: Callable[..., str], kafka: Kafka) -> None:
    topic = filled(50, partitions=PARTITIONS)
    written = 50
    enough = threading.Event()

    def keep_writing() -> None:
        nonlocal written
        while not enough.wait(0.2):
            kafka.produce(Outgoing(topic, b"x", partition=p) for p in range(PARTITIONS) for _ in range(10))
            written += 10

    writer = threading.Thread(target=keep_writing)
    writer.start()
    ours = probe("ours", {topic: PARTITIONS})
    workers = [ours.start(HABIT) for _ in range(WORKERS)]
    chance = random.Random(7)
    try:
        ours.wait_for("done", 1)
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            time.sleep(chance.uniform(0.3, 2.0))
            number = chance.randrange(WORKERS)
            worker = workers[number]
            if chance.random() < 0.3:
                worker.signal(signal.SIGSTOP)
                time.sleep(chance.uniform(1.0, 8.0))
                worker.signal(signal.SIGCONT)
            elif chance.random() < 0.5:
                worker.kill()
                workers[number] = ours.start(HABIT)
            else:
                polite = worker.catches(signal.SIGTERM)  # while Python itself starts, the signal just ends it
                assert worker.stop() in ((0, 1) if polite else (0, 1, -signal.SIGTERM))
                workers[number] = ours.start(HABIT)
    finally:
        enough.set()
        writer.join()
    ours.wait("all is committed", lambda: ours.committed(topic) == dict.fromkeys(range(PARTITIONS), written), 240)
    assert ours.never("done", all_places(topic, dict.fromkeys(range(PARTITIONS), written))) == set()
