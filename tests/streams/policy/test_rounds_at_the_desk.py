"""What is decided once stays decided: redeliveries, repeats, conflicts, later rounds, people."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from schemas import ids
from schemas.reasons import Reason
from schemas.records import (
    Cancellation,
    Channel,
    Consent,
    ConsentChange,
    ConsentScope,
    ConsentSource,
    Content,
    CustomerProfile,
    Deferral,
    Dispatch,
    Inbound,
    LifecycleEvent,
    MessageStatus,
    Stage,
)
from streams.feedback.facts import fact_of
from streams.feedback.fold import MessageFold
from streams.policy.desk import TakeTurnAs
from tests.streams.policy.installation import HOUR, MINUTE, MOBILE, NOW, request
from tests.streams.policy.test_desk import Counter, Event, asked

KEYED = {"idempotency_key": "k"}


def again(event: Event, **changes: Any) -> Event:
    """The same record delivered once more, or one with other coordinates."""
    return Event(replace(event.message, **changes))


def orders(counter: Counter) -> list[Dispatch]:
    return [record for _, record in counter.written if isinstance(record, Dispatch)]


def told(counter: Counter) -> list[LifecycleEvent]:
    return [record for _, record in counter.written if isinstance(record, LifecycleEvent)]


@pytest.mark.parametrize("lost_at", [2, 3], ids=["nothing was published", "the dispatch record was published"])
async def test_a_crash_after_the_decision_publishes_the_same_once_more_flagged(lost_at: int) -> None:
    counter, first = Counter(lost_at=lost_at), asked(request(**KEYED))
    await counter.serve(first)
    before = len(orders(counter))
    counter.now += HOUR  # policy would decide otherwise by now: other times, perhaps another sender
    second = again(first)
    await counter.serve(second)
    order = orders(counter)[-1]
    assert len(orders(counter)) == before + 1
    assert (order.again, order.decided_at) == (True, NOW)
    assert all(replace(each, again=True) == order for each in orders(counter))
    assert [event.at for event in told(counter)] == [NOW]
    assert second.acked
    assert counter.state.puts == 1


async def test_a_redelivered_denial_and_a_redelivered_deferral_are_told_and_published_once_more() -> None:
    for changes in ({"category": "marketing"}, {"not_before": NOW + HOUR}):
        counter, first = Counter(), asked(request(**changes))
        await counter.serve(first)
        published = list(counter.publisher.records)
        second = again(first)
        await counter.serve(second)
        assert counter.publisher.records == [*published, *published]
        assert second.acked


async def test_a_repeat_of_the_app_is_finished_with_the_first_outcome() -> None:
    counter, first = Counter(), asked(request(**KEYED))
    await counter.serve(first)
    published = len(counter.publisher.records)
    repeat = again(first, offset=43)
    counter.now += MINUTE
    await counter.serve(repeat)
    [record] = counter.publisher.records[published:]
    assert record.topic == "comms.lifecycle"
    assert repeat.acked
    outcome, repeated = told(counter)
    assert (repeated.reason, repeated.at, repeated.source_offset) == (Reason.REPEATED, NOW + MINUTE, 43)
    assert repeated.event_id != outcome.event_id
    same: dict[str, Any] = {"event_id": "", "at": 0, "reason": None, "detail": None, "source_offset": 0}
    assert replace(repeated, **same) == replace(outcome, **same)
    fold = MessageFold(outcome.message_id)
    fold.add(fact_of(outcome))
    before = fold.update()
    assert not fold.add(fact_of(repeated)), "it changes nothing of what is known"
    assert fold.update() == before


async def test_a_repeat_after_later_rounds_is_finished_too() -> None:
    counter, first = Counter(), asked(request(**KEYED, not_before=NOW + MINUTE))
    await counter.serve(first)
    [deferral] = [record for _, record in counter.written if isinstance(record, Deferral)]
    counter.now = NOW + MINUTE
    await counter.serve(asked(deferral, topic="comms.deferred.1m", key=MOBILE.encode()))
    assert len(orders(counter)) == 1
    repeat = again(first, offset=43)
    await counter.serve(repeat)
    assert len(orders(counter)) == 1
    assert (told(counter)[-1].round, told(counter)[-1].reason) == (1, Reason.REPEATED)
    assert repeat.acked


async def test_another_content_under_the_same_key_is_denied_and_leaves_the_first_alone() -> None:
    counter = Counter()
    first = asked(request(**KEYED))
    await counter.serve(first)
    other = asked(request(**KEYED, content=Content(body="something else")), offset=43)
    await counter.serve(other)
    assert len(orders(counter)) == 1
    denial = told(counter)[-1]
    assert (denial.status, denial.reason) == (MessageStatus.DENIED, Reason.IDEMPOTENCY_CONFLICT)
    assert denial.message_id == ids.message_id_by_origin(other.message.topic, other.message.partition, 43)
    assert other.acked
    counter.now += HOUR
    puts = counter.state.puts
    await counter.serve(again(other))
    assert told(counter)[-1] == denial, "it was decided once, and a redelivery is told the same"
    assert counter.state.puts == puts


async def test_a_round_that_was_decided_is_not_decided_again_by_its_double_on_the_wheel() -> None:
    counter = Counter()
    deferral = Deferral(
        message_id="m-7",
        round=2,
        app="login",
        due_at=NOW,
        reason="schedule",
        by=Stage.POLICY,
        request=request(),
        origin="comms.requests.login:3:7",
        deadline=NOW + HOUR,
        at=NOW - MINUTE,
    )
    one = asked(deferral, topic="comms.deferred.1s", key=MOBILE.encode())
    await counter.serve(one)
    await counter.serve(again(one, offset=43))
    first, second = orders(counter)
    assert (first.again, second.again) == (False, True)
    assert replace(first, again=True) == second
    late = asked(replace(deferral, round=1), topic="comms.deferred.1s", key=MOBILE.encode(), offset=44)
    await counter.serve(late)
    assert len(orders(counter)) == 2
    assert late.acked


async def test_what_its_app_cancelled_before_it_came_is_canceled() -> None:
    counter = Counter()
    cancel = asked(Cancellation(recipient=MOBILE, idempotency_key="k", requested_at=NOW), offset=41)
    await counter.serve(cancel)
    await counter.serve(asked(request(**KEYED)))
    assert orders(counter) == []
    assert [(event.status, event.reason) for event in told(counter)] == [(MessageStatus.CANCELED, Reason.CANCELED)]


async def test_what_its_app_cancelled_on_the_wheel_is_canceled_when_it_comes_back() -> None:
    counter = Counter()
    await counter.serve(asked(request(**KEYED, not_before=NOW + MINUTE)))
    [deferral] = [record for _, record in counter.written if isinstance(record, Deferral)]
    await counter.serve(asked(Cancellation(recipient=MOBILE, idempotency_key="k", requested_at=NOW), offset=43))
    counter.now = NOW + MINUTE
    await counter.serve(asked(deferral, topic="comms.deferred.1m", key=MOBILE.encode()))
    assert orders(counter) == []
    assert told(counter)[-1].status is MessageStatus.CANCELED


def consent(change: ConsentChange, **changes: Any) -> Consent:
    values = {
        "consent_id": "c-1",
        "recipient": MOBILE,
        "change": change,
        "scope": ConsentScope.ALL,
        "source": ConsentSource.KEYWORD,
        "at": NOW,
    }
    return Consent(**{**values, **changes})


async def test_an_opt_out_denies_what_comes_after_it_and_names_its_position_to_dispatch() -> None:
    counter = Counter()
    await counter.serve(asked(request()))
    [unfolded] = orders(counter)
    assert (unfolded.consent_partition, unfolded.consent_position) == (asked(request()).message.partition, 0)
    stop = asked(consent(ConsentChange.OPT_OUT), topic="comms.consent", offset=7)
    await counter.serve(stop)
    assert stop.acked
    await counter.serve(asked(request(), offset=43))
    assert told(counter)[-1].reason == Reason.OPTED_OUT
    await counter.serve(asked(consent(ConsentChange.OPT_IN, at=NOW + 1), topic="comms.consent", offset=9))
    await counter.serve(asked(request(), offset=44))
    assert orders(counter)[-1].consent_position == 10


async def test_a_change_of_consent_that_comes_again_changes_nothing() -> None:
    counter = Counter()
    stop = asked(consent(ConsentChange.OPT_OUT), topic="comms.consent", offset=7)
    await counter.serve(stop)
    await counter.serve(asked(consent(ConsentChange.OPT_IN, at=NOW + 1), topic="comms.consent", offset=9))
    puts = counter.state.puts
    await counter.serve(again(stop))
    assert counter.state.puts == puts
    await counter.serve(asked(request(), offset=43))
    assert len(orders(counter)) == 1


async def test_an_unreadable_change_of_consent_counts_as_opt_out_for_the_number_in_its_key() -> None:
    counter = Counter()
    poison = asked(b"\xff", topic="comms.consent", offset=7)
    await counter.serve(poison)
    assert poison.acked
    assert counter.written[0][0] == "comms.dead"
    await counter.serve(asked(request(), offset=43))
    assert orders(counter) == []
    assert told(counter)[-1].reason == Reason.OPTED_OUT


async def test_a_change_of_consent_in_the_wrong_partition_is_written_again() -> None:
    counter = Counter()
    stop = asked(consent(ConsentChange.OPT_OUT), topic="comms.consent")
    elsewhere = again(stop, partition=(stop.message.partition + 1) % 8)
    await counter.serve(elsewhere)
    [record] = counter.publisher.records
    assert (record.topic, record.partition) == ("comms.consent", stop.message.partition)
    assert counter.state.puts == 0


async def test_when_a_person_last_wrote_is_remembered_by_our_address() -> None:
    counter = Counter()
    for offset, (channel, at) in enumerate(((Channel.SMS, NOW), (Channel.WHATSAPP, NOW + 5), (Channel.SMS, NOW - 9))):
        inbound = Inbound(
            sid=f"SM{offset}",
            account_sid="AC1",
            recipient=MOBILE,
            channel=channel,
            sender="+18005550199",
            body="hi",
            num_segments=1,
            received_at=at,
        )
        await counter.serve(asked(inbound, topic="comms.inbound", offset=offset))
    home = asked(request()).message.partition
    _, last_inbound = counter.desk._memory.person(home, MOBILE)
    assert last_inbound == {"+18005550199": NOW, "whatsapp:+18005550199": NOW + 5}


async def test_an_unreadable_inbound_message_is_feedbacks_to_tell() -> None:
    counter, garbage = Counter(), asked(b"\xff", topic="comms.inbound")
    await counter.serve(garbage)
    assert counter.written == []
    assert garbage.acked


async def test_customer_data_is_remembered_and_forgotten_as_its_topic_says() -> None:
    counter = Counter()
    home = asked(request()).message.partition
    profile = CustomerProfile(recipient=MOBILE, time_zone="Europe/Zurich", updated_at=NOW)
    await counter.serve(asked(profile, topic="comms.profiles", offset=1))
    assert counter.desk._memory.profile(home, MOBILE) == profile
    gone = asked(profile, topic="comms.profiles", offset=2, value=None)
    await counter.serve(gone)
    assert gone.acked
    assert counter.desk._memory.profile(home, MOBILE) is None


async def test_a_decision_whose_first_request_nobody_remembers_takes_a_repeat_for_the_same() -> None:
    counter = Counter()
    message_id = ids.message_id_by_key("login", MOBILE, "k")
    deferral = Deferral(
        message_id=message_id,
        round=1,
        app="login",
        due_at=NOW,
        reason="schedule",
        by=Stage.POLICY,
        request=request(),
        origin="comms.requests.login:3:7",
        at=NOW - MINUTE,
    )
    await counter.serve(asked(deferral, topic="comms.deferred.1s", key=MOBILE.encode()))
    repeat = asked(request(**KEYED), offset=43)
    await counter.serve(repeat)
    assert len(orders(counter)) == 1
    assert told(counter)[-1].reason == Reason.REPEATED
    assert repeat.acked


async def test_a_deferral_is_published_again_under_its_recipient_whatever_key_the_request_had() -> None:
    counter, first = Counter(lost_at=2), asked(request(not_before=NOW + HOUR), key=None)
    await counter.serve(first, MOBILE.encode())
    assert counter.written == []
    await counter.serve(again(first), MOBILE.encode())
    [deferral] = [record for record in counter.publisher.records if record.topic.startswith("comms.deferred")]
    assert deferral.key == MOBILE.encode()


@pytest.mark.parametrize(("category", "urgent"), [("otp", True), ("service", False)])
@pytest.mark.parametrize("lost_at", [0, 2], ids=["at once", "after a crash"])
async def test_a_critical_message_is_known_on_the_wheel_before_it_is_read(
    category: str, urgent: bool, lost_at: int
) -> None:
    app = "login" if category == "otp" else "shop"
    counter = Counter(lost_at=lost_at)
    first = asked(request(category=category, not_before=NOW + HOUR), topic=f"comms.requests.{app}")
    await counter.serve(first)
    if lost_at:
        await counter.serve(again(first))
    [record] = [each for each in counter.publisher.records if each.topic.startswith("comms.deferred")]
    assert (("commlayer-urgent", b"1") in record.headers) is urgent


def wheel_record() -> Deferral:
    return Deferral(
        message_id="m-7",
        round=1,
        app="login",
        due_at=NOW,
        reason="schedule",
        by=Stage.POLICY,
        request=request(),
        origin="comms.requests.login:3:7",
        at=NOW - MINUTE,
    )


async def test_a_message_that_comes_back_in_the_wrong_partition_is_not_decided_without_its_persons_consent() -> None:
    counter = Counter()
    stop = asked(consent(ConsentChange.OPT_OUT), topic="comms.consent", offset=7)
    await counter.serve(stop)
    here = asked(wheel_record(), topic="comms.deferred.1s", key=MOBILE.encode())
    astray = again(here, partition=(here.message.partition + 1) % 8)
    await counter.serve(astray)
    [record] = counter.publisher.records
    assert (record.topic, record.partition) == ("comms.deferred.1s", here.message.partition)
    assert astray.acked


async def test_a_message_that_comes_back_under_anothers_key_waits_for_its_persons_turn() -> None:
    counter = Counter()
    event = asked(wheel_record(), topic="comms.deferred.1s", key=b"+41790000000")
    assert await counter.serve(event) == TakeTurnAs(MOBILE.encode())
    assert not event.acked
    await counter.serve(event, MOBILE.encode())
    assert len(orders(counter)) == 1
