from __future__ import annotations

from typing import Any

import pytest

from schemas.reasons import Reason
from streams.policy.case import Case
from streams.policy.decide import decide
from streams.policy.facts import Facts
from streams.policy.rules import profile
from streams.policy.verdict import ALLOW, Defer, Deferred, Denied, Deny, Verdict
from tests.streams.policy.installation import HOUR, MINUTE, NOW, config, entry, request


def verdict(again_at: int | None, **changes: Any) -> Verdict:
    return profile.check(Case(request(**changes), entry(), config(), NOW, Facts(ask_again_at=again_at)))


def test_with_an_answer_nothing_is_held() -> None:
    assert verdict(None) == ALLOW


@pytest.mark.parametrize(
    ("again_at", "changes", "until"),
    [
        (NOW + 5_000, {}, NOW + 5_000),
        (NOW + HOUR, {"deadline": NOW + 10 * MINUTE}, NOW + 10 * MINUTE - 2_000),
        (NOW + 5_000, {"not_before": NOW + HOUR}, NOW + HOUR),
        (NOW + 5_000, {"not_before": NOW + HOUR, "deadline": NOW + HOUR}, NOW + HOUR - 2_000),
    ],
)
def test_without_one_the_message_waits_but_not_beyond_its_last_chance(
    again_at: int, changes: dict[str, Any], until: int
) -> None:
    assert verdict(again_at, **changes) == Defer(until, Reason.PROFILE_UNAVAILABLE)


@pytest.mark.parametrize("left_ms", [2_000, 1, 0])
def test_with_no_time_left_to_ask_again_it_is_denied(left_ms: int) -> None:
    denied = verdict(NOW + 5_000, deadline=NOW + left_ms)
    assert isinstance(denied, Deny)
    assert denied.reason is Reason.PROFILE_UNAVAILABLE


def test_it_comes_back_in_the_next_round() -> None:
    decision = decide(request(), entry(), config(), NOW, Facts(ask_again_at=NOW + 5_000))
    assert isinstance(decision, Deferred)
    assert (decision.rule, decision.deferral.round, decision.deferral.due_at) == ("profile", 1, NOW + 5_000)


def test_what_no_answer_could_save_does_not_wait_for_one() -> None:
    decision = decide(request(recipient="123"), entry(), config(), NOW, Facts(ask_again_at=NOW + 5_000))
    assert isinstance(decision, Denied)
    assert decision.rule == "recipient"
