"""Records that are about to leave the log unprocessed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from connectors.kafka.metrics import PAST_HALF_RETENTION
from connectors.kafka.retention import RetentionWatch, retention_ms
from connectors.kafka.start_position import LogBounds
from connectors.kafka.topic_partition import TP

DAY_MS = 86_400_000
NOW_MS = 100 * DAY_MS
BULK, OTHER = TP("comms.dispatch.bulk", 3), TP("comms.dispatch.bulk", 4)


@dataclass
class Log:
    """Records of one partition by the time of each, offsets from 0."""

    times: dict[TP, list[int]] = field(default_factory=dict)
    asked: list[TP] = field(default_factory=list)

    async def offsets_at(self, times_ms: Mapping[TP, int]) -> dict[TP, int | None]:
        self.asked += times_ms
        return {
            tp: next((offset for offset, written in enumerate(self.times.get(tp, ())) if written >= at), None)
            for tp, at in times_ms.items()
        }

    async def bounds(self, partitions: Collection[TP]) -> dict[TP, LogBounds]:
        return {tp: LogBounds(0, len(self.times.get(tp, ()))) for tp in partitions}


def days_ago(*days: float) -> list[int]:
    return [NOW_MS - int(each * DAY_MS) for each in days]


def test_retentions_are_those_of_the_catalogue() -> None:
    assert retention_ms("comms.dispatch.bulk") == 4 * DAY_MS
    assert retention_ms("comms.requests.shop.urgent") == 7 * DAY_MS
    assert retention_ms("comms.profiles") is None, "compacted"
    assert retention_ms("orders") is None, "not ours"


@pytest.mark.parametrize(
    ("written", "finished_to", "ok"),
    [
        (days_ago(3, 2.5, 1), 1, False),
        (days_ago(3, 2.5, 1), 2, True),
        (days_ago(3, 2.5), 1, False),
        (days_ago(3, 2.5), 2, True),
        (days_ago(1.9, 1), 0, True),
        ([], 0, True),
    ],
    ids=["behind", "within half", "silent since and behind", "silent since and done", "young", "empty"],
)
async def test_a_partition_is_late_when_what_is_not_processed_is_older_than_half_of_its_retention(
    written: list[int], finished_to: int, ok: bool
) -> None:
    watch = RetentionWatch(Log({BULK: written}), now_ms=lambda: NOW_MS)
    await watch.look({BULK: finished_to})
    assert watch.health().ok is ok


@pytest.mark.parametrize("question", ["offsets_at", "bounds"])
async def test_a_record_that_comes_between_the_two_questions_is_not_late(
    monkeypatch: pytest.MonkeyPatch, question: str
) -> None:
    log = Log({BULK: []})
    answer = getattr(log, question)

    async def answer_and_write(asked: Any) -> Any:
        told = await answer(asked)
        log.times[BULK] += days_ago(0)
        return told

    monkeypatch.setattr(log, question, answer_and_write)
    watch = RetentionWatch(log, now_ms=lambda: NOW_MS)
    await watch.look({BULK: 0})
    assert watch.health().ok


async def test_the_alarm_names_the_partition_and_ends_when_it_has_caught_up() -> None:
    watch = RetentionWatch(Log({BULK: days_ago(3, 1), OTHER: days_ago(1)}), now_ms=lambda: NOW_MS)
    await watch.look({BULK: 0, OTHER: 0})
    assert "comms.dispatch.bulk/3" in watch.health().detail
    assert "comms.dispatch.bulk/4" not in watch.health().detail
    assert PAST_HALF_RETENTION.labels("comms.dispatch.bulk")._value.get() == 1
    await watch.look({BULK: 1, OTHER: 0})
    assert watch.health().ok
    assert PAST_HALF_RETENTION.labels("comms.dispatch.bulk")._value.get() == 0


async def test_topics_that_keep_the_last_of_each_key_are_not_asked_about() -> None:
    log = Log()
    watch = RetentionWatch(log, now_ms=lambda: NOW_MS)
    await watch.look({TP("comms.profiles", 0): 0})
    assert log.asked == []
