"""What policy does with a message whose app takes more of its lane than its quota there."""

from __future__ import annotations

from typing import Any

from schemas.reasons import Reason
from schemas.records import Channel
from streams.policy.case import Case
from streams.policy.decide import decide
from streams.policy.facts import Facts
from streams.policy.quotas import Turn
from streams.policy.rules import lane_quota
from streams.policy.verdict import ALLOW, Admitted, Decision, Defer, Deferred, Denied, Deny
from tests.streams.policy.installation import HOUR, NOW, config, entry, request

SOON = Turn(wait_until=NOW + 1500)
OVER = Turn(day_over=True)


def case(turns: dict[str, Turn], **changes: Any) -> Case:
    asked = request(**{"category": "service", "sender": "promo-a", **changes})
    return Case(asked, entry(app="shop"), config(), NOW, Facts(lane_turns=turns))


def decided(turns: dict[str, Turn], **changes: Any) -> Decision:
    made = case(turns, **changes)
    return decide(made.request, made.entry, made.config, NOW, made.facts)


def test_a_lane_without_quota_or_with_room_passes() -> None:
    assert lane_quota.check(case({})) == ALLOW
    assert lane_quota.check(case({"promo-a": Turn(), "promo-b": SOON})) == ALLOW


def test_what_comes_too_fast_waits_its_turn_on_its_lane_and_pays_for_it() -> None:
    expected = Defer(NOW + 1500, Reason.LANE_QUOTA_EXCEEDED, charges="promo-a")
    assert lane_quota.check(case({"promo-a": SOON})) == expected


def test_a_person_stays_with_their_sender_while_it_is_only_too_fast() -> None:
    usual = decided({}, sender=None)
    assert isinstance(usual, Admitted)
    waits = decided({usual.dispatch.lane: SOON}, sender=None)
    assert isinstance(waits, Deferred)
    assert waits.defer.charges == usual.dispatch.lane


def test_a_turn_after_the_deadline_is_none() -> None:
    late = {"promo-a": Turn(wait_until=NOW + HOUR)}
    verdict = lane_quota.check(case(late, deadline=NOW + HOUR))
    assert isinstance(verdict, Deny)
    assert (verdict.reason, verdict.field) == (Reason.LANE_QUOTA_EXCEEDED, "deadline")
    assert isinstance(lane_quota.check(case(late, deadline=NOW + HOUR + 1)), Defer)


def test_what_is_scheduled_is_asked_when_its_moment_has_come() -> None:
    waits = decided({"promo-a": SOON}, not_before=NOW + 500)
    assert isinstance(waits, Deferred)
    assert (waits.rule, waits.defer.charges) == ("schedule", None)


def test_a_lane_whose_day_is_used_up_is_left_and_without_another_the_message_is_denied() -> None:
    usual = decided({}, sender=None)
    assert isinstance(usual, Admitted)
    other = decided({usual.dispatch.lane: OVER}, sender=None)
    assert isinstance(other, Admitted)
    assert other.dispatch.lane != usual.dispatch.lane
    none = decided({"promo-a": OVER, "promo-b": OVER}, sender=None)
    assert isinstance(none, Denied)
    assert none.deny.reason is Reason.LANE_QUOTA_EXCEEDED
    assert "apps.shop.quota.lanes" in none.deny.fix


def test_another_channel_is_tried_where_the_lanes_of_this_one_are_used_up() -> None:
    moved = decided({"promo-a": OVER}, fallback_channels=[Channel.WHATSAPP])
    assert isinstance(moved, Deferred)
    assert (moved.defer.reason, moved.defer.charges) == (Reason.LANE_QUOTA_EXCEEDED, None)
