"""Worker processes for hazard tests: the same agents under stock Faust ("stock") and under ours ("ours")."""

from __future__ import annotations

import dataclasses
import json
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.kafka import Kafka
from tests.support.processes import Child

_ROOT = Path(__file__).parents[2]
_WAIT_S = 60.0

Place = tuple[str, int, int]
"""Topic, partition, offset."""


@dataclass(frozen=True)
class Habit:
    """How the probe's agents treat records; without any they finish each at once.

    Attributes:
        unfinished: offsets that are taken and never finished.
        poison: offset whose record makes the agent raise.
        work_s: seconds that the agent works on each record; ours is asked to finish the one in hand at a revoke.
        finish_within_s: records are finished one by one, each at some random time within so many seconds.
        fill_queue: records that must have gathered in stock's queue before its agent goes on after the first one.
        block_after: topic → number of records after which its agent takes no more.
        hold: most records that are to be unfinished; none is finished. Stock is told by pausing the partition, ours by
            its window.
        stop_reading_at: offset of partition 0 during whose delivery the partition is stopped, for 1.5 s.
        commit_interval_s: between commits.
    """

    unfinished: tuple[int, ...] = ()
    poison: int = -1
    work_s: float = 0.0
    finish_within_s: float = 0.0
    fill_queue: int = 0
    block_after: Mapping[str, int] = field(default_factory=dict)
    hold: int = 0
    stop_reading_at: int | None = None
    commit_interval_s: float = 0.3


class Probe:
    """The workers of one consumer group, and what their agents wrote down."""

    def __init__(self, kafka: Kafka, transport: str, topics: Mapping[str, int], directory: Path) -> None:
        self.kafka, self.transport, self.topics = kafka, transport, dict(topics)
        self.group = kafka.unique(f"{transport}-group")
        self._directory = directory
        self._log = directory / f"{self.group}.jsonl"
        self.children: list[Child] = []

    def start(self, habit: Habit | None = None) -> Child:
        """Start one more worker of the group."""
        number = len(self.children)
        config = {
            "transport": self.transport,
            "bootstrap": self.kafka.bootstrap,
            "group": self.group,
            "topics": self.topics,
            "log": str(self._log),
            "datadir": str(self._directory / f"{self.group}-{number}"),
            "habit": dataclasses.asdict(habit or Habit()),
        }
        child = Child(
            f"{self.transport} worker {number}",
            [sys.executable, str(_ROOT / "tests/hazards/probe_worker.py"), json.dumps(config)],
            log=self._directory / f"{self.group}-{number}.out",
            cwd=_ROOT,
        )
        self.children.append(child)
        return child

    def places(self, what: str) -> list[Place]:
        """The records that were "taken" or "done", in order."""
        return [(line["t"], line["p"], line["o"]) for line in self._lines() if line["what"] == what]

    def count(self, what: str) -> int:
        return len(self.places(what))

    def assignments(self, child: Child) -> list[int]:
        """How many partitions this worker held, one assignment after the other."""
        return [line["count"] for line in self._lines() if line["what"] == "assigned" and self._is_of(child, line)]

    def done_twice(self) -> int:
        """How many times too often a record was done."""
        return sum(times - 1 for times in Counter(self.places("done")).values())

    def never(self, what: str, expected: set[Place]) -> set[Place]:
        """Those of the expected records to which this did not happen in any worker."""
        return expected - set(self.places(what))

    def committed(self, topic: str) -> dict[int, int]:
        return self.kafka.committed(self.group, topic)

    def wait(self, what: str, condition: Callable[[], bool], timeout_s: float = _WAIT_S) -> None:
        """Wait until the condition holds; if it does not in time, fail with what the workers printed."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            if time.monotonic() > deadline:
                printed = "\n".join(child.output(1500) for child in self.children)
                raise AssertionError(f"{self.transport}: not within {timeout_s} s: {what}\n{printed}")
            time.sleep(0.1)

    def wait_for(self, what: str, count: int) -> None:
        self.wait(f"{count} {what}", lambda: self.count(what) >= count)

    def settle(self, what: str, seconds: float) -> int:
        """Wait until the count has not changed for so long, and return it."""
        last, since = -1, time.monotonic()
        while time.monotonic() - since < seconds:
            now = self.count(what)
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.1)
        return last

    def close(self) -> None:
        for child in self.children:
            child.signal(signal.SIGCONT)
            child.kill()

    def _lines(self) -> list[dict[str, Any]]:
        if not self._log.exists():
            return []
        text = self._log.read_text()
        return [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]

    def _is_of(self, child: Child, line: Mapping[str, object]) -> bool:
        return line["pid"] == child.pid


def all_places(topic: str, counts: Mapping[int, int]) -> set[Place]:
    """Every record of a topic: partition → number of records."""
    return {(topic, partition, offset) for partition, count in counts.items() for offset in range(count)}
