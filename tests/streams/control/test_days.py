"""What Twilio, operators and dispatch say of a brand's day at a carrier, and which of it holds."""

from __future__ import annotations

import random
from datetime import datetime
from itertools import permutations
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.records import Control, ControlAction, ControlSubject
from streams.control.backlogs import backlog, backlog_key
from streams.control.day_caps import day_cap_reached, day_count, day_count_key, day_end_ms
from streams.control.days import Days, is_reopening
from streams.control.switches import Aspect, Switches, control_key
from streams.control.trouble import trouble_key
from twin.carriers import _day_end

ACME = ("acme", "tmobile")
NOON = int(datetime(2026, 11, 29, 12, tzinfo=ZoneInfo("America/Los_Angeles")).timestamp() * 1000)
END = day_end_ms(NOON)
Written = tuple[bytes, Control]


def counted(used: int, at: int = NOON) -> Written:
    record = day_count(ACME, used=used, partition=0, position=3, until=day_end_ms(at), at=at)
    return day_count_key(ACME), record


def ended(at: int) -> Written:
    record = day_cap_reached(ACME, code=30023, why="reached", fix="wait", at=at)
    return trouble_key(record), record


def reopened(days: Days, at: int, used: int = 0) -> Written:
    return days.reopening(ACME, used=used, by="ada", reason="raised", at=at)


def folded(*written: Written) -> Days:
    days = Days()
    for key, record in written:
        assert days.take(key, record)
    return days


@given(at=st.integers(1_577_836_800, 2_208_988_800))
def test_the_twins_day_ends_when_ours_does(at: int) -> None:
    assert _day_end(at) * 1000 == day_end_ms(at * 1000)


def test_the_last_word_holds_in_whatever_order_it_is_read() -> None:
    opened = reopened(folded(counted(10)), NOON + 100)
    for at, holds in ((NOON, False), (NOON + 100, False), (NOON + 101, True)):
        for order in permutations([counted(10), ended(at), opened]):
            days = folded(*order)
            assert (days.ended(ACME, NOON + 200) is not None) is holds, order
            state = days.state(ACME, 10, NOON + 200, per_day=10)
            assert (state.used, state.waits_until) == (0, END if holds else None)
            assert (state.said_by_twilio, state.reopened_at) == (holds, NOON + 100)


def test_an_operator_whose_clock_is_behind_is_obeyed_all_the_same() -> None:
    days = folded(ended(NOON))
    assert days.take(*reopened(days, NOON - 60_000))
    assert days.ended(ACME, NOON + 1) is None


@pytest.mark.parametrize(("used", "left"), [(0, 5), (7, 12), (15, 20)])
def test_of_what_was_counted_before_as_much_counts_as_the_operator_says(used: int, left: int) -> None:
    days = folded(counted(10))
    assert days.take(*reopened(days, NOON, used))
    assert days.left_of(10 + 5, ACME, NOON) == left
    assert days.left_of(0, ACME, NOON) == max(0, used - 10), "what is given back leaves no more room than a day has"


def test_with_its_day_a_word_ends() -> None:
    days = folded(counted(10))
    assert days.take(*reopened(days, NOON))
    assert days.left_of(10, ACME, END) == 10
    assert (days.reopened(ACME, END), days.ended(ACME, END), days.named(END)) == (None, None, set())
    assert days.counted(ACME, END) == 0
    assert reopened(days, END)[1].used == 0, "a count of yesterday is none"
    assert folded(ended(NOON)).ended(ACME, END) is None


def test_what_is_kept_for_critical_messages_ends_the_day_of_the_others() -> None:
    days = Days()
    assert days.state(ACME, 7, NOON, per_day=10, kept_for_critical=3).waits_until == END
    assert days.state(ACME, 6, NOON, per_day=10, kept_for_critical=3).waits_until is None
    assert days.state(ACME, 10**6, NOON, per_day=None).waits_until is None, "nothing is counted"


def test_a_tombstone_or_a_clear_takes_back_what_was_said_but_a_reopening_is_a_clear_itself() -> None:
    key, record = ended(NOON)
    days = folded((key, record))
    assert days.take(key, None)
    assert days.ended(ACME, NOON) is None
    days = folded(counted(10), ended(NOON))
    opened, word = reopened(days, NOON)
    assert (opened, word.action, is_reopening(opened)) == (b"budget:acme@tmobile:day", ControlAction.CLEAR, True)
    assert not is_reopening(key)
    assert days.take(opened, word)
    assert days.take(opened, None)
    assert days.ended(ACME, NOON) is not None


def test_what_is_about_something_else_is_not_taken() -> None:
    budget = Control(
        subject_kind=ControlSubject.BUDGET, subject="acme", action=ControlAction.RATE, rate=1.0, by="ada", at=1
    )
    others = [
        (backlog_key("acme"), backlog("acme", {}, by="x", at=1)),
        (control_key(ControlSubject.BUDGET, "acme", Aspect.RATE), budget),
        (control_key(ControlSubject.BUDGET, "acme@tmobile", Aspect.RATE), budget),
        (b"budget:", None),
        (random.Random(1).randbytes(30), None),
    ]
    days = Days()
    assert [days.take(key, record) for key, record in others] == [False] * len(others)


def test_a_process_of_an_earlier_version_takes_no_reopening_for_a_pause() -> None:
    switches = Switches()
    switches.take(*reopened(Days(), NOON))
    assert list(switches.in_force(NOON)) == []
