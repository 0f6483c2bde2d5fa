"""What follows when a message fails after Twilio took it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.twilio.errors import ErrorOverride, ErrorPolicy, Retry, Scope
from schemas.reasons import Reason
from schemas.records import (
    Callback,
    Channel,
    ConsentChange,
    ConsentScope,
    ControlSubject,
    LifecycleEvent,
    MessageStatus,
    Stage,
)
from streams.control.day_caps import day_end_ms
from streams.control.trouble import trouble_key
from streams.feedback.back_into_loop import FAILURES_MAX, HELD_MS, LATER_MS, ONCE_MS, Failure, consequences
from streams.feedback.facts import fact_of
from streams.feedback.fold import MessageFold

from .facts import SID, T, accepted, admitted, callback, dispatched

ERRORS = ErrorPolicy()
MG = "MG" + "3" * 32
S = MessageStatus


def failure(code: int, **changes: Any) -> Failure:
    values: dict[str, Any] = {
        "message_id": "m-1",
        "round": 0,
        "times": 1,
        "latest": True,
        "status": S.FAILED,
        "code": code,
        "at": T,
        "sid": SID,
        "app": "shop",
        "recipient": "+41791234567",
        "channel": Channel.SMS,
        "lane": "long",
        "account": "main",
        "sender": "+15005550001",
        "deadline": T + 86_400_000,
        "fallback": False,
    }
    return Failure(**{**values, **changes})


def by_service(code: int, **changes: Any) -> Failure:
    return failure(code, **{"sender": MG, "lane": "pool", **changes})


def test_an_opt_out_that_only_the_callback_tells_reaches_the_messaging_service() -> None:
    follows = consequences(by_service(21610), ERRORS)
    assert follows.consent is not None
    assert (follows.consent.change, follows.consent.scope) == (ConsentChange.OPT_OUT, ConsentScope.MESSAGING_SERVICE)
    assert (follows.consent.scope_value, follows.consent.evidence, follows.consent.at) == (MG, SID, T)
    assert (follows.trouble, follows.deferral, follows.event) == (None, None, None)


def test_an_opt_out_is_not_chased_over_other_channels() -> None:
    assert consequences(failure(63033, fallback=True, channel=Channel.WHATSAPP), ERRORS).deferral is None
    assert consequences(failure(21211, fallback=True), ERRORS).deferral is None


@pytest.mark.parametrize(
    ("code", "kind", "subject"),
    [(63051, ControlSubject.LANE, "long"), (30002, ControlSubject.ACCOUNT, "main")],
)
def test_errors_of_sender_and_account_are_trouble_of_theirs(code: int, kind: ControlSubject, subject: str) -> None:
    met = consequences(failure(code), ERRORS).trouble
    assert met is not None
    assert (met.subject_kind, met.subject, met.error_code, met.by) == (kind, subject, code, "feedback")
    assert met.until == T + HELD_MS
    assert met.fix


@pytest.mark.parametrize("code", [30032, 30033, 30034, 30035])
def test_a_sender_that_carriers_of_one_country_do_not_take_is_in_trouble_for_that_alone(code: int) -> None:
    met = consequences(failure(code, recipient="+14155550123"), ERRORS).trouble
    assert met is not None
    assert (met.subject_kind, met.subject, met.error_code) == (ControlSubject.LANE, "long@US", code)
    assert met.until == T + HELD_MS
    assert "leave US out of `countries`" in (met.fix or "")
    for nowhere in ("+19995550123", None):
        held = consequences(failure(code, recipient=nowhere), ERRORS).trouble
        assert held is not None
        assert held.subject == "long", "what is known of it is its lane"


def test_one_bad_number_of_a_pool_does_not_hold_the_others() -> None:
    assert consequences(by_service(30034), ERRORS).trouble is None
    assert consequences(by_service(30002), ERRORS).trouble is not None


@pytest.mark.parametrize(
    ("code", "status", "wait_ms", "reason"),
    [
        (30001, S.FAILED, LATER_MS, Reason.FAILED_AT_TWILIO),
        (30003, S.UNDELIVERED, LATER_MS, Reason.UNDELIVERED),
        (30008, S.UNDELIVERED, ONCE_MS, Reason.UNDELIVERED),
        (63009, S.FAILED, 60_000, Reason.FAILED_AT_TWILIO),
    ],
)
def test_a_retryable_failure_of_a_messaging_service_goes_back_to_policy_without_its_request(
    code: int, status: MessageStatus, wait_ms: int, reason: Reason
) -> None:
    follows = consequences(by_service(code, status=status, round=2), ERRORS)
    deferral, event = follows.deferral, follows.event
    assert deferral is not None
    assert (deferral.message_id, deferral.round, deferral.reason, deferral.by) == ("m-1", 3, reason, Stage.FEEDBACK)
    assert (deferral.due_at, deferral.request, deferral.deadline) == (T + wait_ms, None, T + 86_400_000)
    assert event is not None
    assert (event.status, event.round, event.until) == (S.DEFERRED, 2, deferral.due_at)


@pytest.mark.parametrize("code", [30003, 30008, 30001])
def test_without_service_and_channels_nobody_remembers_the_request(code: int) -> None:
    assert consequences(failure(code), ERRORS).deferral is None


@pytest.mark.parametrize("code", [63016, 63003, 63024, 21635, 30006])
def test_a_channel_that_cannot_reach_the_person_gives_way_to_the_next_at_once(code: int) -> None:
    deferral = consequences(failure(code, fallback=True, channel=Channel.WHATSAPP), ERRORS).deferral
    assert deferral is not None
    assert (deferral.reason, deferral.due_at) == (Reason.CHANNEL_FAILED, T)


@pytest.mark.parametrize("code", [30007, 30034, 30410, 21211, 30005, 11200])
def test_what_another_try_would_not_mend_is_final(code: int) -> None:
    assert consequences(by_service(code, fallback=True), ERRORS).deferral is None


@pytest.mark.parametrize(
    "changes",
    [
        {"times": FAILURES_MAX + 1},
        {"deadline": T + LATER_MS},
        {"latest": False},
        {"app": ""},
        {"recipient": None},
    ],
    ids=str,
)
def test_retries_are_bounded(changes: dict[str, Any]) -> None:
    assert consequences(by_service(30003), ERRORS).deferral is not None
    assert consequences(by_service(30003, **changes), ERRORS).deferral is None


def test_no_rule_of_an_operators_chases_who_opted_out_or_doubles_what_may_have_arrived() -> None:
    rules = ErrorPolicy({21610: ErrorOverride(retry=Retry.LATER), 30410: ErrorOverride(retry=Retry.LATER)})
    for code in (21610, 30410):
        assert consequences(by_service(code, fallback=True), rules).deferral is None


def test_once_is_once() -> None:
    assert consequences(by_service(30008, times=2), ERRORS).deferral is None


@given(st.sampled_from(sorted(ERRORS.codes())), st.booleans(), st.booleans(), st.integers(1, 5))
def test_whatever_the_code_a_consequence_is_the_same_each_time_and_never_about_a_person_for_a_senders_error(
    code: int, service: bool, fallback: bool, times: int
) -> None:
    told = (by_service if service else failure)(code, fallback=fallback, times=times)
    follows = consequences(told, ERRORS)
    assert follows == consequences(replace(told), ERRORS)
    if ERRORS.classify(code).scope is not Scope.RECIPIENT:
        assert follows.consent is None
    if follows.deferral is not None:
        assert follows.deferral.round == told.round + 1
        assert T <= follows.deferral.due_at < T + 86_400_000


# -- the failure in a fold


def folded(*facts: LifecycleEvent | Callback) -> MessageFold:
    fold = MessageFold("m-1")
    for each in facts:
        fold.add(fact_of(each))
    return fold


def test_a_failure_says_what_policy_and_twilio_said() -> None:
    channels = {"fallback_channels": "sms"}
    fold = folded(
        admitted(sender=MG, deadline=T + 5, facts=channels), accepted(), callback("failed", 50, error_code=30003)
    )
    told = fold.failure()
    assert told == failure(30003, sender=MG, at=T + 50, deadline=T + 5, fallback=True)


@pytest.mark.parametrize(
    "facts",
    [
        (admitted(), accepted()),
        (admitted(), accepted(), callback("delivered", 50)),
        (admitted(), accepted(), callback("failed", 50)),
        (admitted(), accepted(), callback("failed", 50, error_code=30003), callback("delivered", 60)),
        (admitted(), dispatched(S.FAILED, 20, error_code=21610, sid=SID)),
        (
            admitted(),
            accepted(),
            callback("failed", 50, error_code=30003),
            dispatched(S.DEFERRED, 60, stage=Stage.FEEDBACK),
        ),
        (admitted(), accepted(), callback("failed", 50, error_code=30003), admitted(90, round=1)),
    ],
    ids=["no end", "delivered", "no code", "delivered after all", "refused at once", "goes on", "next round"],
)
def test_nothing_follows_where_nothing_failed_or_it_was_dealt_with(facts: tuple[Any, ...]) -> None:
    assert folded(*facts).failure() is None


def test_a_message_that_goes_on_is_not_told_as_ended() -> None:
    fold = folded(admitted(sender=MG), accepted(), callback("failed", 50, error_code=30003))
    told = fold.failure()
    assert told is not None
    event = consequences(told, ERRORS).event
    assert event is not None
    assert fold.update().is_final
    fold.add(fact_of(event))
    assert (fold.update().is_final, fold.update().status) == (False, S.FAILED)
    assert fold.failure() is None


def test_rounds_that_failed_are_counted() -> None:
    again: dict[str, Any] = {"round": 1}
    fold = folded(
        admitted(sender=MG),
        callback("failed", 50, error_code=30003),
        dispatched(S.DEFERRED, 60, stage=Stage.FEEDBACK),
        admitted(90, sender=MG, **again),
        callback("undelivered", 99, error_code=30003, sid="SM" + "9" * 32, **again),
    )
    told = fold.failure()
    assert told is not None
    assert (told.times, told.round) == (2, 1)


def test_the_failure_of_an_attempt_before_the_last_is_not_the_messages() -> None:
    fold = folded(admitted(sender=MG), accepted(attempt=2), callback("failed", 50, error_code=30003, attempt=1))
    told = fold.failure()
    assert told is not None
    assert not told.latest


@pytest.mark.parametrize("code", [30023, 30027])
def test_a_day_that_a_carrier_has_enough_of_holds_the_brands_messages_to_it_until_the_next_one(code: int) -> None:
    follows = consequences(by_service(code), ERRORS, {"pool": "acme"})
    met = follows.trouble
    assert met is not None
    assert (met.subject_kind, met.subject, met.error_code) == (ControlSubject.BUDGET, "acme@tmobile", code)
    assert (met.until, trouble_key(met)) == (day_end_ms(T), b"budget:acme@tmobile:trouble")
    assert consequences(failure(code), ERRORS, {"pool": "acme"}).trouble is None, "its sender belongs to no brand"


def test_a_message_that_the_carriers_day_had_no_room_for_waits_for_the_next_one_unless_it_ends_before() -> None:
    end = day_end_ms(T)
    follows = consequences(by_service(30023, deadline=end + 2 * LATER_MS), ERRORS)
    assert follows.deferral is not None
    assert follows.deferral.due_at == max(end, T + LATER_MS)
    assert consequences(by_service(30023, deadline=max(end, T + LATER_MS)), ERRORS).deferral is None
