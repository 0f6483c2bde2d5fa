from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.reasons import Reason
from schemas.records import Callback, Channel, LifecycleEvent, MessageClass, MessageStatus, Stage, StatusUpdate
from streams.feedback.facts import fact_of, is_known_word
from streams.feedback.fold import UNKNOWN_APP, MessageFold
from streams.feedback.ranks import FINAL, ORDER
from tests.streams.feedback.facts import SID, T, accepted, admitted, callback, dispatched, event

Said = LifecycleEvent | Callback
S = MessageStatus


def folded(*records: Said) -> StatusUpdate:
    fold = MessageFold(records[0].message_id)
    for record in records:
        fold.add(fact_of(record))
    return fold.update()


def test_a_delivered_message_tells_its_whole_story() -> None:
    assert folded(
        admitted(5),
        accepted(20, segments=1),
        callback("sent", 100),
        callback("delivered", 900, num_segments=2, price="-0.0075", price_unit="USD"),
    ) == StatusUpdate(
        message_id="m-1",
        app="shop",
        status=S.DELIVERED,
        is_final=True,
        round=0,
        attempts=1,
        recipient="+41791234567",
        recipient_id="c-1",
        channel=Channel.SMS,
        category="service",
        message_class=MessageClass.NORMAL,
        lane="long",
        account="main",
        sender="+15005550001",
        sid=SID,
        segments=2,
        price="-0.0075",
        price_unit="USD",
        campaign="autumn",
        tags={"a": "b"},
        correlation_id="r-9",
        idempotency_key="k",
        requested_at=T,
        admitted_at=T + 5,
        accepted_at=T + 20,
        sent_at=T + 100,
        delivered_at=T + 900,
        updated_at=T + 900,
    )


def test_every_status_has_one_rank() -> None:
    assert sorted(ORDER) == sorted(MessageStatus)


def test_the_end_of_the_order_is_as_designed() -> None:
    assert ORDER[-5:] == (S.CANCELED, S.FAILED, S.UNDELIVERED, S.DELIVERED, S.READ)


@pytest.mark.parametrize("status", list(MessageStatus))
def test_final_states_are_told_as_final(status: MessageStatus) -> None:
    assert folded(dispatched(status, 1)).is_final == (status in FINAL)


def test_a_late_sent_does_not_overwrite_a_delivery() -> None:
    assert folded(callback("delivered", 50), callback("sent", 900)).status is S.DELIVERED


def test_a_failure_carries_code_class_and_reason_in_words() -> None:
    update = folded(admitted(), callback("undelivered", 100, error_code=30003))
    assert (update.status, update.reason, update.error_code) == (S.UNDELIVERED, Reason.UNDELIVERED, 30003)
    assert update.error_class == "transient"
    assert update.detail == "Unreachable destination handset"


def test_twilios_own_text_of_an_error_is_kept() -> None:
    update = folded(
        callback("failed", 100, error_code=21610, error_message="Attempt to send to unsubscribed recipient")
    )
    assert (update.reason, update.detail) == (Reason.FAILED_AT_TWILIO, "Attempt to send to unsubscribed recipient")


def test_a_delivery_hides_the_errors_before_it() -> None:
    update = folded(dispatched(S.FAILED, 30, error_code=20003, reason="rejected_by_twilio"), callback("delivered", 99))
    assert (update.error_code, update.reason, update.detail) == (None, None, None)


def test_a_repeat_with_an_error_code_tells_more_than_one_without() -> None:
    plain, telling = callback("failed", 100), callback("failed", 200, error_code=30007)
    for update in (folded(plain, telling), folded(telling, plain)):
        assert (update.error_code, update.updated_at) == (30007, T + 100)


def test_a_denial_is_told_with_its_reason() -> None:
    update = folded(event(S.DENIED, 3, reason="unknown_app", detail="No app."))
    assert (update.status, update.is_final, update.reason, update.detail) == (S.DENIED, True, "unknown_app", "No app.")


def test_a_message_that_the_last_look_denies_after_its_admission_is_denied() -> None:
    update = folded(admitted(3), dispatched(S.DENIED, 900, reason="opted_out"))
    assert (update.status, update.is_final, update.reason) == (S.DENIED, True, "opted_out")
    assert folded(dispatched(S.DENIED, 900, reason="opted_out"), admitted(3)).status is S.DENIED


def test_evidence_of_a_send_outranks_our_own_doubt() -> None:
    doubt = dispatched(S.UNKNOWN, 100, reason="in_doubt")
    assert folded(doubt).is_final
    update = folded(doubt, callback("sent", 50))
    assert (update.status, update.is_final) == (S.SENT, False)


def test_the_outcome_is_that_of_the_last_round() -> None:
    update = folded(
        admitted(1),
        dispatched(S.FAILED, 10, sid="SM1"),
        admitted(1000, round=1, lane="other", channel=Channel.WHATSAPP),
        dispatched(S.ACCEPTED, 1010, round=1, sid="SM2"),
        callback("delivered", 2000),
    )
    assert (update.status, update.round, update.sid, update.lane) == (S.ACCEPTED, 1, "SM2", "other")
    assert (update.channel, update.admitted_at) == (Channel.WHATSAPP, T + 1000)
    assert (update.delivered_at, update.requested_at) == (None, T)


def test_a_round_that_went_to_the_wheel_is_not_final() -> None:
    gone = event(S.DEFERRED, 60, stage=Stage.FEEDBACK)
    update = folded(admitted(), callback("failed", 50, error_code=30003), gone)
    assert (update.status, update.is_final) == (S.FAILED, False)
    assert folded(admitted(), gone, event(S.DENIED, 70, round=1)).is_final


def test_attempts_count_the_posts_of_the_last_round() -> None:
    assert folded(dispatched(S.ACCEPTED, 1, attempt=3), callback("sent", 2, attempt=3)).attempts == 3
    assert folded(dispatched(S.FAILED, 1, attempt=3), admitted(9, round=1)).attempts == 0


def test_a_message_only_twilio_has_told_of_is_told_without_an_app() -> None:
    fold = MessageFold("m-1")
    fold.add(fact_of(callback("delivered", 9)))
    assert not fold.whole
    assert (fold.update().app, fold.update().status) == (UNKNOWN_APP, S.DELIVERED)
    assert fold.update().recipient == "+41791234567"


def test_a_fold_is_whole_when_policy_spoke_of_its_last_round() -> None:
    fold = MessageFold("m-1")
    fold.add(fact_of(accepted()))
    assert not fold.whole
    fold.add(fact_of(admitted()))
    assert fold.whole
    fold.add(fact_of(callback("sent", 9, round=1)))
    assert not fold.whole


def test_a_status_word_nobody_told_us_of_proves_acceptance() -> None:
    strange = callback("teleported", 9)
    assert not is_known_word(strange)
    assert folded(strange).status is S.ACCEPTED
    assert is_known_word(callback("Delivered", 9))
    assert folded(callback("Delivered", 9)).status is S.DELIVERED


def test_a_segment_count_of_zero_is_no_count() -> None:
    assert folded(admitted(segments=2), callback("queued", 9, num_segments=0)).segments == 2


statuses = st.sampled_from(
    ["queued", "sending", "sent", "delivered", "undelivered", "failed", "read", "canceled", "surprise"]
)
times = st.integers(0, 50)
rounds = st.integers(0, 2)


@st.composite
def said(draw: st.DrawFn) -> Said:
    about: dict[str, Any] = {"round": draw(rounds)}
    kind = draw(st.sampled_from(["policy", "dispatch", "callback"]))
    if kind == "policy":
        status = draw(st.sampled_from([S.ADMITTED, S.DENIED, S.DEFERRED]))
        about |= {"campaign": draw(st.sampled_from([None, "x", "y"])), "lane": draw(st.sampled_from(["l1", "l2"]))}
        about |= {"reason": draw(st.sampled_from([None, "r1", "r2"])), "tags": draw(st.sampled_from([{}, {"a": "1"}]))}
        return event(status, draw(times), **about)
    about |= {"attempt": draw(st.integers(1, 3)), "sid": draw(st.sampled_from(["SM1", "SM2"]))}
    about |= {"error_code": draw(st.sampled_from([None, 30003, 21610]))}
    if kind == "dispatch":
        status = draw(st.sampled_from([S.ACCEPTED, S.FAILED, S.EXPIRED, S.UNKNOWN, S.CANCELED, S.DEFERRED]))
        return dispatched(status, draw(times), **about)
    about |= {"price": draw(st.sampled_from([None, "-0.01", "-0.02"])), "num_segments": draw(st.integers(0, 3))}
    return callback(draw(statuses), draw(times), **about)


@given(st.lists(said(), min_size=1, max_size=12), st.data())
def test_any_order_and_repetition_of_facts_converges(facts: list[Said], data: st.DataObject) -> None:
    repeated = facts + data.draw(st.lists(st.sampled_from(facts), max_size=6))
    assert folded(*data.draw(st.permutations(repeated))) == folded(*facts)


@given(st.lists(said(), min_size=1, max_size=12), st.data())
def test_a_callback_that_twilio_repeats_later_changes_nothing(facts: list[Said], data: st.DataObject) -> None:
    callbacks = [fact for fact in facts if isinstance(fact, Callback)]
    again = [replace(fact, received_at=fact.received_at + data.draw(times)) for fact in callbacks]
    assert folded(*again, *facts) == folded(*facts, *again) == folded(*facts)


@given(st.lists(said(), min_size=1, max_size=12), st.data())
def test_a_loss_takes_away_only_what_was_lost(facts: list[Said], data: st.DataObject) -> None:
    whole = folded(*facts)
    strongest = next(f for f in facts if f.round == whole.round and fact_of(f).status is whole.status)
    kept = data.draw(st.lists(st.sampled_from(facts), max_size=6))
    assert folded(strongest, *kept).status is whole.status


@given(st.lists(said(), min_size=1, max_size=12))
def test_a_state_never_weakens_within_its_round(facts: list[Said]) -> None:
    fold = MessageFold("m-1")
    before: StatusUpdate | None = None
    for record in facts:
        fold.add(fact_of(record))
        now = fold.update()
        if before is not None:
            assert now.round >= before.round
            if now.round == before.round:
                assert ORDER.index(now.status) >= ORDER.index(before.status)
        before = now


@given(st.lists(said(), min_size=1, max_size=12), st.lists(said(), max_size=6))
def test_a_fact_that_changed_nothing_need_not_be_kept(facts: list[Said], later: list[Said]) -> None:
    fold = MessageFold("m-1")
    kept = [record for record in facts if fold.add(fact_of(record))]
    assert folded(*kept, *later) == folded(*facts, *later)
    assert not any(fold.add(fact_of(record)) for record in facts)
