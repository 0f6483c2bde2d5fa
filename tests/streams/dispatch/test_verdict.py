"""What follows from each kind of answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from connectors.twilio.answers import Accepted, Answer, InDoubt, NotSent, Rejected
from connectors.twilio.errors import ErrorOverride, ErrorPolicy, Retry, Scope, TwilioError, classify
from schemas.reasons import Reason
from schemas.records import AttemptOutcome, Follows, MessageStatus
from streams.dispatch.verdict import LATER_AT_MOST_S, POSTS_MAX, ROUNDS_MAX, Paused, Verdict, judge


def _judge(answer: Answer, posts: int = 1, round: int = 0) -> Verdict:
    return judge(answer, posts, lambda: 0.5, round=round)


def rejected(code: int | None, http_status: int = 400, *, retry_after_s: float | None = None) -> Rejected:
    error = TwilioError(code, f"about +14155550123, {code}", http_status, classify(code, http_status))
    return Rejected(error, "RQ1", 3, retry_after_s)


def answered(scope: str, retry: str) -> Rejected:
    """A code of which an operator thinks so."""
    policy = ErrorPolicy({30007: ErrorOverride(scope=Scope(scope), retry=Retry(retry))})
    return Rejected(TwilioError(30007, "filtered", 400, policy.classify(30007, 400)), "RQ1", 3, None)


def test_an_accepted_message_is_final_and_proves_that_lane_and_account_work() -> None:
    verdict = _judge(Accepted("SM" + "0" * 32, "queued", 2, "RQ1", 3, 1))
    assert (verdict.outcome, verdict.follows, verdict.status) == (
        AttemptOutcome.ACCEPTED,
        Follows.FINAL,
        MessageStatus.ACCEPTED,
    )
    assert verdict.worked


@pytest.mark.parametrize("code", [21602, 21617, 21610, 21211, 21614, 21408, 21612])
def test_errors_of_the_message_or_recipient_are_final(code: int) -> None:
    verdict = _judge(rejected(code))
    assert (verdict.follows, verdict.status, verdict.reason) == (
        Follows.FINAL,
        MessageStatus.FAILED,
        Reason.REJECTED_BY_TWILIO,
    )
    assert verdict.worked
    assert verdict.pause is None


@pytest.mark.parametrize("code", [21614, 21635, 21214, 21612])
def test_what_one_channel_cannot_do_goes_back_to_policy_for_the_next_one(code: int) -> None:
    verdict = judge(rejected(code), 1, lambda: 0.5, fallback=True)
    assert (verdict.outcome, verdict.follows, verdict.reason) == (
        AttemptOutcome.REJECTED,
        Follows.WHEEL,
        Reason.CHANNEL_FAILED,
    )
    assert (verdict.status, verdict.retry_in_s, verdict.worked, verdict.pause) == (None, 0.0, True, None)


@pytest.mark.parametrize("code", [21602, 21617, 21610, 21211, 21408])
def test_what_no_other_channel_may_mend_is_final_whatever_is_left(code: int) -> None:
    verdict = judge(rejected(code), 1, lambda: 0.5, fallback=True)
    assert (verdict.follows, verdict.status) == (Follows.FINAL, MessageStatus.FAILED)


def test_no_number_reaches_the_story() -> None:
    assert "5550123" not in (_judge(rejected(21211)).detail or "")


def test_429_alone_decides_nothing_20429_is_the_account_and_21611_the_sender() -> None:
    account, sender = _judge(rejected(20429, 429)), _judge(rejected(21611, 429))
    assert account.outcome is sender.outcome is AttemptOutcome.THROTTLED
    assert account.follows is sender.follows is Follows.RETRY
    assert account.throttled
    assert account.pause is None
    assert not sender.throttled
    assert sender.pause is not None
    assert sender.pause.what is Paused.LANE


def test_a_throttled_message_backs_off_and_obeys_retry_after() -> None:
    assert _judge(rejected(20429, 429), posts=1).retry_in_s == pytest.approx(0.1)
    assert _judge(rejected(20429, 429), posts=4).retry_in_s == pytest.approx(0.8)
    assert 7.0 < _judge(rejected(20429, 429, retry_after_s=7.0)).retry_in_s <= 7.7


def test_a_long_wait_that_twilio_names_is_spent_on_the_wheel_and_not_by_all_in_one_moment() -> None:
    verdict = _judge(rejected(20429, 429, retry_after_s=90.0))
    assert (verdict.follows, verdict.reason) == (Follows.WHEEL, Reason.THROTTLED)
    draws: list[Callable[[], float]] = [lambda: 0.0, lambda: 0.5, lambda: 0.9]
    waits = {judge(rejected(20429, 429, retry_after_s=90.0), 1, draw).retry_in_s for draw in draws}
    assert len(waits) == 3
    assert min(waits) == 90.0


def test_a_message_is_posted_so_often_in_a_round_and_then_waits_on_the_wheel_ever_longer() -> None:
    told = [_judge(rejected(20429, 429), posts).follows for posts in range(1, POSTS_MAX + 1)]
    assert told == [Follows.RETRY] * (POSTS_MAX - 1) + [Follows.WHEEL]
    waits = [_judge(rejected(20429, 429), POSTS_MAX, round).retry_in_s for round in (0, 1, 2, 40)]
    assert waits == pytest.approx([63.0, 126.0, 252.0, 3780.0])


def test_a_message_that_is_refused_for_itself_ends_after_some_rounds() -> None:
    told = [_judge(answered("transient", "backoff"), POSTS_MAX, round).follows for round in range(ROUNDS_MAX + 1)]
    assert told == [Follows.WHEEL] * ROUNDS_MAX + [Follows.FINAL]


@pytest.mark.parametrize("scope", ["message", "recipient", "transient"])
@pytest.mark.parametrize(
    ("retry", "posts", "follows"),
    [
        ("no", 1, Follows.FINAL),
        ("fix", 1, Follows.FINAL),
        ("once", 1, Follows.RETRY),
        ("once", 2, Follows.FINAL),
        ("backoff", 2, Follows.RETRY),
        ("later", 1, Follows.WHEEL),
    ],
)
def test_what_the_operator_says_of_a_code_s_retry_is_done(scope: str, retry: str, posts: int, follows: Follows) -> None:
    assert _judge(answered(scope, retry), posts).follows is follows


@pytest.mark.parametrize(("code", "http_status"), [(20003, 401), (20005, 403), (None, 401), (None, 404)])
def test_account_errors_pause_the_account_with_a_fix_and_keep_the_message(code: int | None, http_status: int) -> None:
    verdict = _judge(rejected(code, http_status))
    assert verdict.follows is Follows.RETRY
    assert verdict.pause is not None
    assert verdict.pause.what is Paused.ACCOUNT
    assert verdict.pause.fix
    assert not verdict.worked


@pytest.mark.parametrize("code", [21212, 21606, 21659])
def test_sender_errors_pause_the_lane_with_a_fix_and_give_the_message_back_to_policy(code: int) -> None:
    verdict = _judge(rejected(code))
    assert (verdict.follows, verdict.reason) == (Follows.WHEEL, Reason.SENDER_REFUSED)
    assert verdict.retry_in_s == 0.0
    assert verdict.pause is not None
    assert verdict.pause.what is Paused.LANE
    assert verdict.pause.fix


def test_a_message_that_policy_has_sent_round_often_enough_waits_for_its_lane() -> None:
    asked = [judge(rejected(21606), 1, lambda: 0.5, round=round).follows for round in range(ROUNDS_MAX + 2)]
    assert asked == [Follows.WHEEL] * ROUNDS_MAX + [Follows.RETRY] * 2


@pytest.mark.parametrize(("code", "round"), [(21606, ROUNDS_MAX), (20003, 0)])
def test_a_message_that_is_refused_for_its_lane_or_account_again_and_again_lets_others_probe(
    code: int, round: int
) -> None:
    told = [_judge(rejected(code), posts, round) for posts in range(1, POSTS_MAX + 1)]
    assert [each.follows for each in told] == [Follows.RETRY] * (POSTS_MAX - 1) + [Follows.WHEEL]
    waits = [each.behind_pause(300.0).retry_in_s for each in told]
    assert waits[0] == 0.0
    assert all(300.0 < wait_s <= 330.0 for wait_s in waits[1:-1])
    assert waits[-1] == told[-1].retry_in_s >= 60.0


def test_a_sender_that_is_ready_later_is_asked_for_later() -> None:
    assert _judge(rejected(30035)).retry_in_s >= 60.0


@pytest.mark.parametrize(("code", "what"), [(21611, Paused.LANE), (63038, Paused.ACCOUNT)])
def test_an_answer_that_asks_for_a_day_is_asked_about_every_hour(code: int, what: Paused) -> None:
    verdict = _judge(rejected(code, 429, retry_after_s=86_400.0))
    assert verdict.pause is not None
    assert verdict.pause.what is what
    assert LATER_AT_MOST_S <= verdict.pause.at_least_s <= 1.1 * LATER_AT_MOST_S


def test_a_daily_limit_pauses_the_account_for_a_minute_at_least() -> None:
    verdict = _judge(rejected(63038, 429))
    assert verdict.pause is not None
    assert verdict.pause.what is Paused.ACCOUNT
    assert verdict.pause.at_least_s >= 60.0


def test_what_was_not_sent_is_tried_again_when_twilio_can_be_reached() -> None:
    verdict = _judge(NotSent("refused"))
    assert (verdict.outcome, verdict.follows) == (AttemptOutcome.TRANSIENT, Follows.RETRY)
    assert verdict.pause is not None
    assert verdict.pause.what is Paused.ACCOUNT


def test_an_error_to_be_retried_once_is_final_the_second_time() -> None:
    first, second = _judge(rejected(20409, 409), posts=1), _judge(rejected(20409, 409), posts=2)
    assert (first.follows, first.outcome) == (Follows.RETRY, AttemptOutcome.TRANSIENT)
    assert (second.follows, second.status) == (Follows.FINAL, MessageStatus.FAILED)


def test_a_lost_answer_is_in_doubt_and_follows_nothing_by_itself() -> None:
    verdict = _judge(InDoubt("timeout"))
    assert (verdict.outcome, verdict.follows, verdict.reason) == (AttemptOutcome.IN_DOUBT, None, Reason.IN_DOUBT)


def test_what_our_own_check_refused_proves_nothing_about_twilio() -> None:
    error = TwilioError(21617, "body: too long", None, classify(21617))
    assert not _judge(Rejected(error)).worked
