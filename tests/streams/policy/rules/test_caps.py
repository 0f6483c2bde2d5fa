"""Nobody gets more messages of a kind than the caps allow, and none waits longer than it must."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.reasons import Reason
from schemas.records import Channel
from streams.policy.case import Case
from streams.policy.config import CLOCKS_DIFFER_MS, MIN_REMEMBER_MS, Cap, OverCap
from streams.policy.decide import decide
from streams.policy.facts import Facts, Past
from streams.policy.rules import caps
from streams.policy.verdict import ALLOW, Defer, Deferred, Denied, Deny
from tests.streams.policy.installation import HOUR, NOW, config, entry, request

DAY = 24 * HOUR
WEEK = 7 * DAY


def cap(**changes: Any) -> Cap:
    values: dict[str, Any] = {"name": "offers", "categories": frozenset({"marketing"}), "window_ms": WEEK, "at_most": 2}
    return Cap(**{**values, **changes})


def past(ago: int, **changes: Any) -> Past:
    values: dict[str, Any] = {
        "message_id": f"earlier-{ago}",
        "round": 0,
        "app": "another",
        "category": "marketing",
        "channel": Channel.SMS,
        "sender": "promo-a",
        "admitted": True,
        "at": NOW - ago,
    }
    return Past(**{**values, **changes})


def case(*caps_of: Cap, past: tuple[Past, ...] = (), **changes: Any) -> Case:
    asked = request(**{"category": "marketing", "deadline": NOW + 2 * WEEK, **changes})
    return Case(asked, entry(app="shop"), config(caps=caps_of), NOW, Facts(past=past))


TWO = (past(6 * DAY), past(DAY))


def test_what_is_under_the_cap_goes() -> None:
    assert caps.check(case(cap(), past=TWO[:1])) == ALLOW


def test_one_more_waits_for_the_moment_the_oldest_leaves_the_window() -> None:
    assert caps.check(case(cap(), past=TWO)) == Defer(NOW + DAY, Reason.FREQUENCY_CAP)


def test_what_is_exactly_as_old_as_the_window_is_out_of_it() -> None:
    assert caps.check(case(cap(), past=(past(WEEK), past(DAY)))) == ALLOW
    assert caps.check(case(cap(), past=(past(WEEK - 1), past(DAY)))) == Defer(NOW + 1, Reason.FREQUENCY_CAP)


@pytest.mark.parametrize(
    "other",
    [
        {"admitted": False},
        {"category": "service"},
        {"channel": Channel.WHATSAPP},
    ],
)
def test_what_was_not_admitted_or_is_of_another_kind_does_not_count(other: dict[str, Any]) -> None:
    texts = cap(channels=frozenset({Channel.SMS, Channel.MMS}))
    assert caps.check(case(texts, past=(past(DAY), past(HOUR, **other)))) == ALLOW
    assert isinstance(caps.check(case(texts, past=(past(DAY), past(HOUR, channel=Channel.MMS)))), Defer)


def test_categories_of_one_cap_are_counted_together() -> None:
    together = cap(categories=frozenset({"marketing", "service"}))
    assert isinstance(caps.check(case(together, past=(past(DAY), past(HOUR, category="service")))), Defer)


def test_what_no_cap_covers_is_not_capped() -> None:
    many = tuple(past(ago) for ago in range(1, 50))
    assert caps.check(case(cap(), past=many, category="service")) == ALLOW
    assert caps.check(case(cap(channels=frozenset({Channel.WHATSAPP})), past=many)) == ALLOW


def test_the_cap_that_is_full_the_longest_decides() -> None:
    daily = cap(name="daily", window_ms=2 * DAY, at_most=1)
    assert caps.check(case(cap(at_most=3), daily, past=TWO)) == Defer(NOW + DAY, Reason.FREQUENCY_CAP)
    assert caps.check(case(cap(window_ms=8 * DAY), daily, past=TWO)) == Defer(NOW + 2 * DAY, Reason.FREQUENCY_CAP)


def test_a_cap_that_denies_does_not_let_wait() -> None:
    verdict = caps.check(case(cap(at_most=1), cap(name="hard", over=OverCap.DENY), past=TWO))
    assert isinstance(verdict, Deny)
    assert verdict.reason is Reason.FREQUENCY_CAP
    assert "'hard'" in verdict.detail


def test_what_would_be_worthless_when_there_is_room_is_denied_at_once() -> None:
    assert isinstance(caps.check(case(cap(), past=TWO, deadline=NOW + DAY)), Deny)
    assert isinstance(caps.check(case(cap(), past=TWO, deadline=NOW + DAY + 1)), Defer)


def test_a_scheduled_message_is_judged_when_its_moment_comes() -> None:
    full = cap(over=OverCap.DENY)
    later = case(full, past=TWO, not_before=NOW + HOUR, deadline=NOW + DAY)
    assert caps.check(later) == ALLOW
    deferred = decide(later.request, later.entry, later.config, NOW, later.facts)
    assert isinstance(deferred, Deferred)
    assert deferred.rule == "schedule"
    assert isinstance(caps.check(case(full, past=TWO, not_before=NOW)), Deny)  # the moment itself


def test_a_denial_by_a_cap_is_not_escaped_on_another_channel() -> None:
    texts = cap(over=OverCap.DENY, channels=frozenset({Channel.SMS}))
    full = case(texts, past=TWO, deadline=NOW + DAY, fallback_channels=[Channel.WHATSAPP])
    denied = decide(full.request, full.entry, full.config, NOW, full.facts)
    assert isinstance(denied, Denied)
    assert denied.rule == "caps"


def test_policy_remembers_as_far_back_as_the_longest_window() -> None:
    assert config(caps=(cap(),)).remember_ms == MIN_REMEMBER_MS
    assert config(caps=(cap(), cap(window_ms=30 * DAY))).remember_ms == 30 * DAY + CLOCKS_DIFFER_MS


CATEGORIES = ("marketing", "service")
CAPS = st.builds(
    Cap,
    name=st.just("any"),
    categories=st.sampled_from([frozenset(CATEGORIES), frozenset({"marketing"}), frozenset({"service"})]),
    channels=st.sampled_from([None, frozenset({Channel.SMS}), frozenset({Channel.SMS, Channel.MMS})]),
    window_ms=st.integers(1, 30),
    at_most=st.integers(1, 4),
)
REQUESTS = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from(CATEGORIES), st.sampled_from([Channel.SMS, Channel.MMS])), max_size=30
)


def holds(each: Cap, admitted: list[Past], one_more: Past) -> bool:
    """The promise itself: no window of the cap's length, wherever it begins, has too many."""
    if not each.covers(one_more.category, one_more.channel):
        return True
    counted = [one.at for one in (*admitted, one_more) if each.covers(one.category, one.channel)]
    return all(sum(begin <= at < begin + each.window_ms for at in counted) <= each.at_most for begin in counted)


@settings(max_examples=200, deadline=None)
@given(st.lists(CAPS, min_size=1, max_size=3), REQUESTS)
def test_no_window_ever_holds_too_many_and_nothing_waits_longer_than_it_must(
    caps_of: list[Cap], requests: list[tuple[int, str, Channel]]
) -> None:
    installation = config(caps=tuple(caps_of))
    admitted: list[Past] = []
    now = NOW
    waiting: list[tuple[int, int, str, Channel]] = []
    for gap, category, channel in requests:
        now += gap
        waiting.append((now, len(waiting), category, channel))
    number = len(waiting)
    while waiting:
        waiting.sort()
        now, _, category, channel = waiting.pop(0)
        asked = request(category=category, channel=channel, created_at=NOW, deadline=NOW + HOUR)
        verdict = caps.check(Case(asked, entry(app="shop"), installation, now, Facts(past=tuple(admitted))))
        moment = verdict.until if isinstance(verdict, Defer) else now

        def fits(at: int, category: str = category, channel: Channel = channel) -> bool:
            this = past(NOW - at, category=category, channel=channel)
            return all(holds(each, admitted, this) for each in caps_of)

        assert fits(moment)
        assert not any(fits(sooner) for sooner in range(now, moment))
        if verdict == ALLOW:
            admitted.append(past(NOW - now, category=category, channel=channel))
        else:
            number += 1
            waiting.append((moment, number, category, channel))
    assert len(admitted) == len(requests)
