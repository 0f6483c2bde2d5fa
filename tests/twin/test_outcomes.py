from __future__ import annotations

from collections import Counter

from twin.outcomes import Facts, Outcomes
from twin.settings import Outcome, OutcomeRule, OutcomeSettings


def _draw(outcomes: Outcomes, to: str, sender: str | None = "+1", body: str = "Hi") -> int | None:
    return outcomes.draw(Facts(to, sender, body)).outcome.error_code


def _failing(code: int, **match: object) -> OutcomeRule:
    return OutcomeRule.model_validate({"status": "undelivered", "error_code": code} | match)


def test_the_first_rule_that_matches_decides() -> None:
    outcomes = Outcomes(
        OutcomeSettings(
            rules=(
                _failing(30003, to_suffix="0404"),
                _failing(30005, to=("+15551110000",)),
                _failing(30006, to_prefix="+1555111"),
                _failing(30007, body_contains="free money"),
                _failing(30008, from_address="+9"),
            )
        )
    )
    assert _draw(outcomes, "+15551110404") == 30003
    assert _draw(outcomes, "+15551110000") == 30005
    assert _draw(outcomes, "+15551110001") == 30006
    assert _draw(outcomes, "+15552220001", body="get free money") == 30007
    assert _draw(outcomes, "+15552220001", sender="+9") == 30008
    assert _draw(outcomes, "+15552220001") is None


def test_a_share_is_drawn_and_does_not_depend_on_the_order_of_requests() -> None:
    settings = OutcomeSettings(seed=5, rules=(_failing(30003, share=0.2),))
    people = [f"+1555{number:07}" for number in range(2000)]
    forward, backward = Outcomes(settings), Outcomes(settings)
    drawn = {to: _draw(forward, to) for to in people}
    again = {to: _draw(backward, to) for to in reversed(people)}
    assert drawn == again
    assert 300 < Counter(drawn.values())[30003] < 500
    other = Outcomes(settings.model_copy(update={"seed": 6}))
    assert {to: _draw(other, to) for to in people} != drawn


def test_a_rule_may_hold_for_the_first_messages_only() -> None:
    outcomes = Outcomes(OutcomeSettings(rules=(_failing(30003, first=2),)))
    assert [_draw(outcomes, "+15551110001") for _ in range(3)] == [30003, 30003, None]
    assert _draw(outcomes, "+15551110002") == 30003


def test_delays_lie_in_their_span_and_are_drawn_anew_for_each_message() -> None:
    outcomes = Outcomes(OutcomeSettings(default=Outcome(final_after_s=(1.0, 3.0))))
    fates = [outcomes.draw(Facts("+15551110001", None, "")) for _ in range(50)]
    delays = [fate.delay(fate.outcome.final_after_s) for fate in fates]
    assert all(1.0 <= delay <= 3.0 for delay in delays)
    assert len(set(delays)) == 50
