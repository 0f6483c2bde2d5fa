"""What policy does with messages of an app that an operator has paused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from schemas.reasons import Reason
from streams.policy.case import Case
from streams.policy.decide import decide
from streams.policy.facts import Facts
from streams.policy.rules import paused
from streams.policy.rules.paused import LONGEST_WAIT_MS, SHORTEST_WAIT_MS
from streams.policy.verdict import ALLOW, Admitted, Defer, Deferred, Denied
from tests.streams.policy import installation
from tests.streams.policy.installation import HOUR, MINUTE, NOW, case


def pause(*, since: int = NOW, until: int | None = None) -> Facts:
    return Facts(paused_apps={"login": installation.pause("login", since=since, until=until)})


def under(facts: Facts, **changes: Any) -> Case:
    made = case(**changes)
    made.facts = facts
    return made


def wait_ms(facts: Facts, **changes: Any) -> int:
    verdict = paused.check(under(facts, **changes))
    assert isinstance(verdict, Defer)
    assert verdict.reason is Reason.APP_PAUSED
    return verdict.until - NOW


def test_only_the_paused_app_waits() -> None:
    assert paused.check(under(Facts())) == ALLOW
    assert paused.check(under(pause())) != ALLOW
    assert paused.check(under(pause(), entry_of={"app": "shop"})) == ALLOW


def test_the_longer_a_pause_lasts_the_more_seldom_a_message_looks_again() -> None:
    far = {"deadline": NOW + 48 * HOUR}
    assert SHORTEST_WAIT_MS <= wait_ms(pause(), **far) <= SHORTEST_WAIT_MS * 3 // 2
    assert 15 * MINUTE // 4 <= wait_ms(pause(since=NOW - 15 * MINUTE), **far) <= 15 * MINUTE // 4 * 3 // 2
    assert LONGEST_WAIT_MS <= wait_ms(pause(since=NOW - 24 * HOUR), **far) <= LONGEST_WAIT_MS * 3 // 2
    assert wait_ms(pause(since=NOW + HOUR), **far) >= SHORTEST_WAIT_MS, "the operator's clock is ahead"


def test_messages_of_one_pause_come_back_at_times_of_their_own() -> None:
    since = pause(since=NOW - HOUR)
    waits = {wait_ms(since, entry_of={"message_id": f"m-{number}"}, deadline=NOW + HOUR) for number in range(50)}
    assert len(waits) > 40


def test_nobody_waits_longer_than_the_pause_or_the_deadline_or_comes_before_its_moment() -> None:
    day_old = NOW - 24 * HOUR
    assert wait_ms(pause(since=day_old, until=NOW + 7_000), deadline=NOW + HOUR) == 7_000
    assert wait_ms(pause(since=day_old), deadline=NOW + 9_000) == 9_000
    assert wait_ms(pause(), not_before=NOW + 30 * MINUTE, deadline=NOW + HOUR) == 30 * MINUTE


def test_it_waits_through_the_pause_and_is_admitted_when_it_is_resumed() -> None:
    asked = under(pause())
    waits = decide(asked.request, asked.entry, asked.config, NOW, asked.facts)
    assert isinstance(waits, Deferred)
    assert (waits.rule, waits.defer.reason, waits.deferral.round) == ("paused", Reason.APP_PAUSED, 1)
    returned = replace(asked.entry, round=1, deadline=waits.deferral.deadline)
    assert isinstance(decide(asked.request, returned, asked.config, waits.deferral.due_at), Admitted)


def test_the_deadline_goes_on_while_it_waits() -> None:
    asked = under(pause())
    assert asked.deadline < NOW + HOUR
    late = replace(asked.entry, round=9, deadline=asked.deadline)
    ended = decide(asked.request, late, asked.config, asked.deadline, asked.facts)
    assert isinstance(ended, Denied)
    assert ended.deny.reason is Reason.DEADLINE_PASSED


def test_what_is_over_quota_is_denied_and_does_not_wait_for_a_way_around_it() -> None:
    asked = under(replace(pause(), quota_day_over=True))
    over = decide(asked.request, asked.entry, asked.config, NOW, asked.facts)
    assert isinstance(over, Denied)
    assert over.deny.reason is Reason.QUOTA_EXCEEDED


def test_an_app_that_is_switched_off_is_denied_paused_or_not() -> None:
    facts = Facts(paused_apps={"off": installation.pause("off")})
    asked = under(facts, entry_of={"app": "off"})
    denied = decide(asked.request, asked.entry, asked.config, NOW, facts)
    assert isinstance(denied, Denied)
    assert denied.deny.reason is Reason.APP_DISABLED
