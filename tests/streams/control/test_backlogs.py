"""What readers believe of a lane's backlog, and when they must be told anew."""

from __future__ import annotations

from schemas.records import ControlAction, MessageClass
from streams.control.backlogs import KEPT_MS, Backlog, Backlogs, backlog, backlog_key, is_news
from streams.control.switches import Switches

CRITICAL, HIGH, NORMAL, BULK = MessageClass
NOW = 1_800_000_000_000


def believed(eta_s: dict[MessageClass, float], *, at: int = NOW) -> Backlog | None:
    backlogs = Backlogs()
    backlogs.take(backlog_key("slow"), backlog("slow", eta_s, by="dispatch", at=at))
    return backlogs.by_lane.get("slow")


def test_each_class_waits_for_its_own_moment_and_one_that_is_not_named_for_none() -> None:
    lane = believed({BULK: 60.0, NORMAL: 20.0})
    assert lane is not None
    assert [lane.leaves_at(each, NOW) - NOW for each in MessageClass] == [0, 0, 20_000, 60_000]


def test_what_is_believed_shrinks_with_time_as_the_backlog_does() -> None:
    lane = believed({BULK: 60.0})
    assert lane is not None
    assert lane.leaves_at(BULK, NOW + 45_000) == NOW + 60_000
    assert lane.leaves_at(BULK, NOW + 70_000) == NOW + 70_000


def test_what_is_old_says_nothing() -> None:
    lane = believed({BULK: 3600.0})
    assert lane is not None
    assert lane.leaves_at(BULK, NOW + KEPT_MS - 1) == NOW + 3_600_000
    assert lane.leaves_at(BULK, NOW + KEPT_MS) == NOW + KEPT_MS


def test_a_lane_that_is_not_behind_any_more_is_forgotten_and_the_others_stay() -> None:
    backlogs = Backlogs()
    for lane in ("slow", "long"):
        backlogs.take(backlog_key(lane), backlog(lane, {BULK: 60.0}, by="dispatch", at=NOW))
    before = backlogs.by_lane
    backlogs.take(backlog_key("slow"), backlog("slow", {BULK: 9.9}, by="dispatch", at=NOW))
    assert set(backlogs.by_lane) == {"long"}
    assert set(before) == {"slow", "long"}, "a decision under way keeps what it was given"
    backlogs.take(backlog_key("long"), None)
    assert backlogs.by_lane == {}


def test_a_backlog_is_no_switch() -> None:
    switches = Switches()
    record = backlog("slow", {BULK: 60.0}, by="dispatch", at=NOW)
    switches.take(backlog_key("slow"), record)
    assert record.action is ControlAction.BACKLOG
    assert list(switches.in_force(NOW)) == []
    assert switches.next_end_ms(NOW) is None


def test_ten_seconds_or_a_fifth_are_no_news() -> None:
    assert not is_news(None, {BULK: 10.0}, NOW)
    assert is_news(None, {BULK: 10.1}, NOW)
    hour = believed({BULK: 3600.0})
    assert not is_news(hour, {BULK: 3600.0}, NOW)
    assert not is_news(hour, {BULK: 4499.0}, NOW)
    assert is_news(hour, {BULK: 4501.0}, NOW)
    assert is_news(hour, {BULK: 2999.0}, NOW)
    assert is_news(hour, {BULK: 3600.0, NORMAL: 11.0}, NOW), "of any class"
    assert is_news(hour, {}, NOW), "it is gone"


def test_a_backlog_that_does_not_shrink_is_told_again_before_it_is_not_believed_any_more() -> None:
    day = {BULK: 86_400.0}
    lane = believed(day)
    assert not is_news(lane, day, NOW + KEPT_MS // 2)
    assert is_news(lane, day, NOW + KEPT_MS * 3 // 4)


def test_a_lane_without_backlog_is_not_told_again() -> None:
    assert not is_news(None, {}, NOW)
    assert not is_news(believed({BULK: 60.0}), {}, NOW + KEPT_MS)
