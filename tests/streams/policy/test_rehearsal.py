"""A rehearsal shows every rule's word, and decides as the stage does."""

from __future__ import annotations

from typing import NoReturn

import pytest

from schemas.reasons import Reason
from streams.policy import rehearsal
from streams.policy.rehearsal import Rehearsal, rehearse
from streams.policy.rules import RULES, Rule
from streams.policy.verdict import ALLOW, Admitted, Denied, Deny
from tests.streams.policy.installation import LANDLINE, NOW, config, entry, request


def rehearsed(**changes: object) -> Rehearsal:
    return rehearse(request(**changes), entry(), config(), NOW)


def test_all_rules_are_asked_in_their_order() -> None:
    whole = rehearsed()
    assert isinstance(whole.decision, Admitted)
    assert [(each.rule, each.verdict) for each in whole.asked] == [(rule.name, ALLOW) for rule in RULES]


def test_the_first_denial_decides_and_the_others_are_shown_all_the_same() -> None:
    whole = rehearsed(category="nope", recipient=LANDLINE)
    assert isinstance(whole.decision, Denied)
    assert whole.decision.rule == "category"
    reasons = [each.verdict.reason for each in whole.asked if isinstance(each.verdict, Deny)]
    assert reasons[:2] == [Reason.UNKNOWN_CATEGORY, Reason.LANDLINE_RECIPIENT]
    assert {each.needs for each in whole.asked if each.verdict is None} == {"category"}


def test_a_defect_of_a_rule_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(case: object) -> NoReturn:
        raise RuntimeError("defect")

    monkeypatch.setattr(rehearsal, "RULES", (Rule("broken", broken), *RULES))
    with pytest.raises(RuntimeError):
        rehearsed()
