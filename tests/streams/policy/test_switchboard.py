"""What policy reads from comms.control."""

from __future__ import annotations

from typing import Any

import pytest

from schemas.records import Control, ControlAction, ControlSubject, MessageClass
from streams.control.backlogs import backlog, backlog_key
from streams.control.days import Days
from streams.control.health import failing, health_key, healthy
from streams.control.switches import Aspect, control_key
from streams.policy.switchboard import Switchboard, Switched

from .installation import NOW, sender

LANE, GROUP, ACCOUNT, APP, _ = ControlSubject
SENDERS = (
    sender("a", 0, group="pair", account="main"),
    sender("b", 0, group="pair", account="main"),
    sender("c", 1, account="other"),
)


class Board:
    """A switchboard on a clock that the test moves."""

    def __init__(self) -> None:
        self.now_ms = NOW
        self.board = Switchboard(SENDERS, now_ms=lambda: self.now_ms)

    def write(
        self,
        kind: ControlSubject,
        subject: str,
        action: ControlAction = ControlAction.PAUSE,
        aspect: Aspect = Aspect.PAUSE,
        **more: Any,
    ) -> None:
        record = Control(subject_kind=kind, subject=subject, action=action, by="ada", at=NOW, **more)
        self.board.take(control_key(kind, subject, aspect), record)

    def now(self) -> Switched:
        return self.board.in_force()


def test_the_last_moment_at_which_a_day_was_opened_again_stays_known() -> None:
    board = Board()
    for carrier, at in (("tmobile", NOW), ("att", NOW - 5)):
        board.board.take(*Days().reopening(("acme", carrier), used=0, by="ada", reason=None, at=at))
        assert board.now() == Switched(days_reopened_at=NOW)
    board.write(APP, "shop")
    board.now_ms += 10 * 86_400_000
    assert board.now().days_reopened_at == NOW
    board.board.take(b"budget:acme@tmobile:day", None)
    assert board.now().days_reopened_at == NOW


@pytest.mark.parametrize("aspect", [Aspect.PAUSE, Aspect.TROUBLE])
@pytest.mark.parametrize(
    ("kind", "subject", "lanes"), [(LANE, "a", {"a"}), (GROUP, "pair", {"a", "b"}), (ACCOUNT, "other", {"c"})]
)
def test_a_lane_is_unhealthy_while_it_its_group_or_its_account_is_held(
    kind: ControlSubject, subject: str, lanes: set[str], aspect: Aspect
) -> None:
    board = Board()
    board.write(kind, subject, aspect=aspect)
    assert board.now() == Switched(unhealthy=frozenset(lanes))
    board.write(kind, subject, ControlAction.CLEAR, aspect)
    assert board.now() == Switched()


def test_a_lane_whose_messages_fail_is_told_with_what_was_counted_and_held_by_nothing() -> None:
    board = Board()
    word = failing("a", code=30007, why="24% of 50 messages failed", fix="", at=NOW, until=NOW + 600_000)
    board.board.take(health_key("a"), word)
    assert board.now() == Switched(failing={"a": "24% of 50 messages failed"})
    board.board.take(health_key("a"), healthy("a", at=NOW))
    assert board.now() == Switched()


def test_a_failing_lane_is_used_again_when_nothing_more_is_heard_of_it() -> None:
    board = Board()
    board.board.take(health_key("a"), failing("a", code=30007, why="", fix="", at=NOW, until=NOW + 600_000))
    board.now_ms += 599_999
    assert set(board.now().failing) == {"a"}
    board.now_ms += 1
    assert board.now() == Switched()


def test_a_changed_rate_makes_no_lane_unhealthy() -> None:
    board = Board()
    board.write(LANE, "a", ControlAction.RATE, Aspect.RATE, rate=0.5)
    assert board.now() == Switched()


def test_a_pause_that_ends_by_itself_ends_for_policy_without_another_record() -> None:
    board = Board()
    board.write(APP, "shop", until=NOW + 1000)
    board.write(LANE, "a", until=NOW + 2000)
    board.now_ms = NOW + 999
    now = board.now()
    assert (set(now.paused_apps), now.unhealthy) == ({"shop"}, frozenset({"a"}))
    assert now.paused_apps["shop"].until == NOW + 1000
    board.now_ms = NOW + 1000
    assert board.now() == Switched(unhealthy=frozenset({"a"}))
    board.now_ms = NOW + 2000
    assert board.now() == Switched()


def test_a_lane_in_trouble_gets_a_message_again_when_its_next_probe_is_due() -> None:
    board = Board()
    board.write(LANE, "a", aspect=Aspect.TROUBLE, until=NOW + 5_000, error_code=21606)
    assert board.board.in_force().unhealthy == {"a"}
    board.now_ms = NOW + 5_000
    assert board.board.in_force().unhealthy == frozenset(), "somebody must find out that it is over"
    board.write(LANE, "a", aspect=Aspect.TROUBLE, until=NOW + 15_000, error_code=21606)
    assert board.board.in_force().unhealthy == {"a"}


def test_a_lane_that_is_refused_for_a_country_is_avoided_for_that_until_it_is_tried_again() -> None:
    board = Board()
    board.write(LANE, "a@DE", aspect=Aspect.TROUBLE, until=NOW + 60_000, error_code=21606)
    assert board.now() == Switched(refused=frozenset({("a", "DE")}))
    board.write(LANE, "a@FR", aspect=Aspect.TROUBLE, until=NOW + 90_000, error_code=21606)
    board.now_ms = NOW + 60_000
    assert board.now().refused == {("a", "FR")}, "somebody must find out that it is over"
    board.write(LANE, "a@FR", ControlAction.CLEAR, Aspect.TROUBLE)
    assert board.now() == Switched()


def test_a_backlog_is_known_until_it_is_over_and_changes_no_switch() -> None:
    board = Board()
    board.write(LANE, "a")
    board.board.take(backlog_key("b"), backlog("b", {MessageClass.BULK: 60.0}, by="dispatch", at=NOW))
    assert board.now().unhealthy == {"a"}
    assert board.now().backlogs["b"].leaves_at(MessageClass.BULK, NOW) == NOW + 60_000
    board.write(LANE, "a", ControlAction.RESUME)
    assert (board.now().unhealthy, set(board.now().backlogs)) == (frozenset(), {"b"})
    board.board.take(backlog_key("b"), backlog("b", {}, by="dispatch", at=NOW))
    assert board.now() == Switched()
