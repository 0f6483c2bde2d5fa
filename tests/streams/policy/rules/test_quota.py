"""What policy does with a request that its app's quota has no room for."""

from __future__ import annotations

from typing import Any

from schemas.reasons import Reason
from streams.policy.case import Case
from streams.policy.config import Quota
from streams.policy.decide import decide
from streams.policy.facts import Facts
from streams.policy.quotas import Quotas
from streams.policy.rules import quota
from streams.policy.verdict import ALLOW, Admitted, Defer, Deferred, Denied, Deny
from tests.streams.policy.installation import HOUR, NOW, config, entry, request


def case(facts: Facts, **changes: Any) -> Case:
    return Case(request(**{"category": "service", **changes}), entry(app="shop"), config(), NOW, facts)


def test_within_the_quota_it_passes() -> None:
    assert quota.check(case(Facts())) == ALLOW


def test_what_comes_too_fast_waits_its_turn() -> None:
    assert quota.check(case(Facts(quota_wait_until=NOW + 1500))) == Defer(NOW + 1500, Reason.QUOTA_EXCEEDED)


def test_a_turn_after_the_deadline_is_none() -> None:
    verdict = quota.check(case(Facts(quota_wait_until=NOW + HOUR), deadline=NOW + HOUR))
    assert isinstance(verdict, Deny)
    assert (verdict.reason, verdict.field) == (Reason.QUOTA_EXCEEDED, "deadline")
    assert isinstance(quota.check(case(Facts(quota_wait_until=NOW + HOUR), deadline=NOW + HOUR + 1)), Defer)


def test_a_scheduled_message_whose_turn_comes_sooner_waits_for_its_moment_alone() -> None:
    facts = Facts(quota_wait_until=NOW + 1500)
    assert quota.check(case(facts, not_before=NOW + 1500)) == ALLOW
    assert quota.check(case(facts, not_before=NOW + 1499)) == Defer(NOW + 1500, Reason.QUOTA_EXCEEDED)


def test_what_exceeds_the_day_is_denied() -> None:
    verdict = quota.check(case(Facts(quota_day_over=True, quota_wait_until=NOW + 1500)))
    assert isinstance(verdict, Deny)
    assert verdict.reason is Reason.QUOTA_EXCEEDED
    assert "apps.shop.quota.per_day" in verdict.fix


def test_what_is_wrong_in_itself_is_told_at_once_and_not_made_to_wait() -> None:
    wrong = case(Facts(quota_wait_until=NOW + 1500), idempotency_key="")
    decided = decide(wrong.request, wrong.entry, wrong.config, NOW, wrong.facts)
    assert isinstance(decided, Denied)
    assert decided.deny.reason is Reason.INVALID_FIELD


def test_a_flood_waits_no_longer_than_its_deadlines_and_others_not_at_all() -> None:
    """As the stage does it: ask, decide, charge what was not denied."""
    quotas = Quotas({"shop": Quota(per_second=10)}, partitions=16, clock=lambda: 5.0, now_ms=lambda: NOW)
    quotas.partitions_held(range(16))

    def ask(app: str, category: str) -> Admitted | Deferred | Denied:
        turn = quotas.ask(app)
        facts = Facts(quota_wait_until=turn.wait_until, quota_day_over=turn.day_over)
        asked = request(category=category, deadline=NOW + 60_000)
        decided = decide(asked, entry(app=app), config(), NOW, facts)
        if not isinstance(decided, Denied):
            quotas.charge(app, 0)
        return decided

    flood = [ask("shop", "service") for _ in range(5000)]
    assert sum(isinstance(each, Admitted) for each in flood) == 10
    turns = [each.deferral.due_at for each in flood if isinstance(each, Deferred)]
    assert turns == sorted(turns)
    assert len(turns) == 589  # those of 59 seconds: the shortest way over the wheel is the sixtieth
    assert max(turns) < NOW + 60_000
    assert isinstance(ask("login", "otp"), Admitted)
