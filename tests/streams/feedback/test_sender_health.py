"""When too many of a lane's messages fail for its sender's sake."""

from __future__ import annotations

import pytest

from connectors.kafka.partitioning import partition_of
from connectors.twilio.errors import ErrorOverride, ErrorPolicy
from schemas.records import Callback, Control, ControlAction, LifecycleEvent, MessageStatus
from streams.feedback.facts import fact_of
from streams.feedback.fold import MessageFold
from streams.feedback.sender_health import Outcome, SenderHealth, SenderHealthSettings

from .facts import T, accepted, admitted, callback, dispatched

SETTINGS = SenderHealthSettings(
    window_ms=300_000, at_least=20, unhealthy_above=0.2, healthy_below=0.1, avoid_ms=600_000
)
FILTERED, STOPPED, SWITCHED_OFF, UNREGISTERED = 30007, 21610, 30003, 30034


class Counted:
    """What one process counts, on a clock that the test moves."""

    def __init__(self, errors: ErrorPolicy | None = None) -> None:
        self.now_ms = T
        self.health = SenderHealth(SETTINGS, errors or ErrorPolicy())
        self.told: list[Control] = []

    def end(self, code: int | None = None, *, times: int = 1, lane: str = "us", at: int | None = None) -> None:
        """Messages end, all with this code, now or at another moment."""
        for _ in range(times):
            self.count(None, outcome(code, lane=lane, at=self.now_ms if at is None else at))

    def count(self, before: Outcome | None, now: Outcome) -> None:
        word = self.health.count(before, now, self.now_ms)
        if word is not None:
            self.told.append(word)

    def actions(self) -> list[tuple[str, ControlAction]]:
        return [(each.subject, each.action) for each in self.told]

    def seen(self) -> dict[str, tuple[int, float, bool]]:
        return {each.lane: (each.messages, each.share, each.avoided) for each in self.health.seen(self.now_ms)}


def outcome(code: int | None = None, *, lane: str = "us", at: int = T, round: int = 0) -> Outcome:
    return Outcome(round=round, lane=lane, at=at, code=code)


AVOID, USE = ("us", ControlAction.PAUSE), ("us", ControlAction.CLEAR)


def test_a_lane_that_carriers_filter_is_avoided_for_a_while_and_told_once() -> None:
    lane = Counted()
    lane.end(times=16)
    lane.end(FILTERED, times=4)
    assert lane.told == [], "a fifth is not more than a fifth"
    lane.end(FILTERED, times=5)
    [word] = lane.told
    assert (word.subject, word.action, word.error_code) == ("us", ControlAction.PAUSE, FILTERED)
    assert (word.at, word.until) == (T, T + SETTINGS.avoid_ms)
    assert word.reason == "24% of 21 messages failed in 300 s, mostly 30007 Message filtered"
    assert word.fix
    assert lane.seen() == {"us": (25, 9 / 25, True)}


def test_few_messages_prove_nothing() -> None:
    lane = Counted()
    lane.end(FILTERED, times=19)
    assert lane.told == []
    lane.end(FILTERED)
    assert lane.actions() == [AVOID]


@pytest.mark.parametrize("code", [STOPPED, SWITCHED_OFF, 30005, 30006, 21614, 30036, 63024, 99_999])
def test_what_is_the_persons_or_the_messages_fault_says_nothing_of_the_sender(code: int) -> None:
    lane = Counted()
    lane.end(code, times=100)
    assert lane.told == []
    assert lane.seen() == {"us": (100, 0.0, False)}


@pytest.mark.parametrize("code", [FILTERED, 30008, UNREGISTERED, 30032, 30041, 63051])
def test_what_carriers_do_not_take_from_this_sender_counts(code: int) -> None:
    lane = Counted()
    lane.end(code, times=20)
    assert [each.error_code for each in lane.told] == [code]


def test_an_operator_says_what_counts() -> None:
    lane = Counted(
        ErrorPolicy({FILTERED: ErrorOverride(blames_sender=False), 30036: ErrorOverride(blames_sender=True)})
    )
    lane.end(FILTERED, times=50)
    assert lane.told == []
    lane.end(30036, times=50)
    assert lane.actions() == [AVOID]


def test_between_the_thresholds_nothing_changes_and_below_the_lower_one_the_lane_is_used_again() -> None:
    lane = Counted()
    lane.end(FILTERED, times=20)
    assert lane.actions() == [AVOID]
    lane.end(times=180)
    assert lane.actions() == [AVOID], "a tenth is not less than a tenth"
    lane.end()
    assert lane.actions() == [AVOID, USE]
    lane.end(FILTERED, times=15)
    assert lane.actions() == [AVOID, USE], "it must be above the upper threshold again"


def test_failures_leave_the_window() -> None:
    lane = Counted()
    lane.end(FILTERED, times=19)
    lane.now_ms += SETTINGS.window_ms
    lane.end(FILTERED)
    assert lane.told == []
    assert lane.seen() == {"us": (1, 1.0, False)}


def test_a_lane_that_goes_on_failing_is_told_again_before_the_word_ends() -> None:
    lane = Counted()
    lane.end(FILTERED, times=20)
    lane.now_ms += SETTINGS.avoid_ms // 2
    lane.end(FILTERED, times=20)
    assert lane.actions() == [AVOID], "half of the time is left"
    lane.now_ms += 1
    lane.end(FILTERED)
    assert lane.actions() == [AVOID, AVOID]
    assert lane.told[1].until == lane.now_ms + SETTINGS.avoid_ms


def test_a_lane_without_traffic_comes_back_and_is_judged_by_what_comes_then() -> None:
    lane = Counted()
    lane.end(FILTERED, times=40)
    lane.now_ms += SETTINGS.avoid_ms
    assert lane.seen() == {"us": (0, 0.0, False)}
    assert lane.seen() == {}, "of a lane at rest nothing is kept"
    lane.end(FILTERED, times=19)
    assert lane.actions() == [AVOID]


def test_lanes_are_counted_apart() -> None:
    lane = Counted()
    lane.end(FILTERED, times=19)
    lane.end(FILTERED, times=19, lane="ch")
    assert lane.told == []


def test_a_message_counts_once_and_fails_once() -> None:
    lane = Counted()
    sent, failed = outcome(), outcome(FILTERED)
    for _ in range(20):
        lane.count(None, sent)
    for _ in range(4):
        lane.count(sent, failed)
        lane.count(failed, outcome(FILTERED, at=T - 1))
    assert lane.seen() == {"us": (20, 0.2, False)}
    lane.count(sent, failed)
    assert lane.actions() == [AVOID]


def test_a_failure_of_a_message_that_was_sent_before_the_window_changes_nothing() -> None:
    lane = Counted()
    lane.end(times=20)
    lane.now_ms += SETTINGS.window_ms
    for _ in range(20):
        lane.count(outcome(), outcome(FILTERED))
    assert lane.seen() == {"us": (0, 0.0, False)}


def test_another_round_is_another_message_of_another_lane() -> None:
    lane = Counted()
    lane.count(outcome(FILTERED), outcome(FILTERED, lane="ch", round=1))
    assert lane.seen() == {"ch": (1, 1.0, False)}


def test_failures_of_messages_that_a_former_owner_counted_are_no_more_than_all() -> None:
    lane = Counted()
    for _ in range(20):
        lane.count(outcome(), outcome(FILTERED))
    assert lane.seen() == {"us": (20, 1.0, True)}


PROCESSES = 4
"""Of feedback, each with as many partitions as the others."""


def dealt_out(processes: list[Counted], codes: list[int | None]) -> int:
    """Messages end, each with the process that has its partition. Returns after how many one of them told of it; 0 for
    never."""
    first = 0
    for number, code in enumerate(codes, 1):
        process = processes[partition_of(f"m-{number}".encode(), len(processes))]
        process.end(code)
        if process.told and not first:
            first = number
    return first


def test_of_several_processes_each_needs_at_least_so_many_messages_of_its_own_and_finds_the_same_share() -> None:
    codes = [FILTERED if number % 2 else None for number in range(10 * PROCESSES * SETTINGS.at_least)]
    alone, processes = [Counted()], [Counted() for _ in range(PROCESSES)]
    assert dealt_out(alone, codes) == SETTINGS.at_least
    enough = PROCESSES * SETTINGS.at_least
    assert enough / 2 < dealt_out(processes, codes) < enough * 1.5, "so many of the lane's messages in the window"
    shares = [share for process in processes for _, share, _ in process.seen().values()]
    assert len(shares) == PROCESSES
    assert all(0.4 < share < 0.6 for share in shares)


def test_a_lane_too_slow_for_each_of_several_processes_is_not_judged() -> None:
    processes = [Counted() for _ in range(PROCESSES)]
    assert dealt_out(processes, [FILTERED] * (2 * SETTINGS.at_least)) == 0


def test_a_process_ends_no_word_but_its_own() -> None:
    """They write under one key, and the last word holds."""
    one, other = Counted(), Counted()
    one.end(FILTERED, times=20)
    other.end(times=200)
    assert (one.actions(), other.actions()) == ([AVOID], [])


def test_a_clock_that_is_ahead_counts_as_now() -> None:
    lane = Counted()
    lane.end(FILTERED, times=20, at=T + 3_600_000)
    lane.now_ms += SETTINGS.avoid_ms
    assert lane.seen() == {"us": (0, 0.0, False)}


# Where the outcomes come


def outcome_of(*records: LifecycleEvent | Callback) -> Outcome | None:
    fold = MessageFold("m-1")
    for record in records:
        fold.add(fact_of(record))
    return fold.outcome()


def test_an_outcome_begins_when_twilio_says_sent() -> None:
    assert outcome_of(admitted(), accepted(), callback("queued", 50)) is None
    sent = outcome(lane="long", at=T + 100)
    assert outcome_of(admitted(), accepted(), callback("sent", 100)) == sent
    assert outcome_of(admitted(), accepted(), callback("sent", 100), callback("delivered", 900)) == sent


def test_a_failure_after_sent_keeps_the_moment_of_sent() -> None:
    failed = callback("undelivered", 900, error_code=FILTERED)
    assert outcome_of(admitted(), accepted(), callback("sent", 100), failed) == outcome(
        FILTERED, lane="long", at=T + 100
    )
    assert outcome_of(admitted(), failed) == outcome(FILTERED, lane="long", at=T + 900)


def test_a_failed_round_that_goes_on_by_another_channel_has_failed_all_the_same() -> None:
    goes_on = dispatched(MessageStatus.DEFERRED, 901, attempt=None)
    failed = callback("undelivered", 900, error_code=FILTERED)
    assert outcome_of(admitted(), failed, goes_on) == outcome(FILTERED, lane="long", at=T + 900)


def test_what_twilio_delivered_after_all_has_not_failed() -> None:
    told = (callback("undelivered", 900, error_code=FILTERED), callback("delivered", 950))
    assert outcome_of(admitted(), *told) == outcome(lane="long", at=T + 900)


def test_what_dispatch_could_not_hand_over_is_no_outcome() -> None:
    """It holds the lane by itself where the sender is at fault."""
    assert outcome_of(admitted(), dispatched(MessageStatus.FAILED, 50, error_code=21606)) is None


def test_without_a_lane_nobody_is_blamed() -> None:
    assert outcome_of(callback("undelivered", 900, error_code=FILTERED)) is None
