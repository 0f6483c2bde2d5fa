"""When a doubt ends, and by what."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from prometheus_client import REGISTRY

from connectors.twilio.account import Account
from connectors.twilio.answers import Answer, InDoubt, Unavailable
from schemas.reasons import Reason
from schemas.records import (
    AttemptKind,
    AttemptOutcome,
    Callback,
    CallbackSource,
    Channel,
    Dispatch,
    DoubtPolicy,
    Follows,
    MessageStatus,
)
from schemas.topics import ATTEMPTS, LIFECYCLE
from streams.dispatch.doubts import TICK_S
from streams.dispatch.listing import LISTS_AT_ONCE, LISTS_PER_S
from tests.support.published import RecordingPublisher

from .simulation import lane, order
from .test_woken_process import write
from .world import CODEC, PARTITION, Consumed, FakeTwilio, sent_message, sid, wall_ms, world

AN_HOUR_MS = 3_600_000
OLD_PLACE = 3


async def test_a_doubt_that_is_old_already_when_its_successor_starts_is_looked_up_before_anything_is_sent_again() -> (
    None
):
    """Nobody dispatched for an hour, and Twilio's list cannot be had at first."""
    sent, twilio, kafka = order(doubt_policy=DoubtPolicy.RESEND), FakeTwilio(), RecordingPublisher()
    intent_at = wall_ms() - AN_HOUR_MS
    write(kafka, sent, AttemptKind.INTENT, "dead", at=intent_at)
    twilio.kept.append(sent_message(sent, 1, at_ms=intent_at))
    twilio.unlisted = Unavailable("HTTP 503")
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        await here.until(lambda: twilio.lists)
        await asyncio.sleep(0.05)
        assert not record.finished
        twilio.unlisted = None
        await here.until(lambda: record.finished)
        assert twilio.posts == []
        assert [event.sid for event in here.told()] == [sid(1)]


@pytest.mark.parametrize("unlisted", [Unavailable("HTTP 503"), None], ids=["none can be had", "more than it may hold"])
async def test_without_one_complete_list_a_doubt_ends_as_unknown_whatever_the_category_says(
    unlisted: Unavailable | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.dispatch.doubts.DOUBT_ENDS_AFTER_S", 0.5)
    monkeypatch.setattr("streams.dispatch.doubts.TRY_AGAIN_S", 0.1)
    monkeypatch.setattr("streams.dispatch.doubts.LIST_AGAIN_S", 0.1)
    sent, twilio, kafka = order(doubt_policy=DoubtPolicy.RESEND), FakeTwilio(), RecordingPublisher()
    twilio.unlisted, twilio.complete = unlisted, False
    write(kafka, sent, AttemptKind.INTENT, "dead")
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        await here.until(lambda: record.finished)
        assert len(twilio.lists) > 1, "it was asked until the end"
        assert twilio.posts == []
        [event] = here.told()
        assert (event.status, event.reason) == (MessageStatus.UNKNOWN, Reason.IN_DOUBT)


@pytest.mark.parametrize("policy", list(DoubtPolicy))
@pytest.mark.parametrize("outcome", [AttemptOutcome.NOT_STARTED, AttemptOutcome.THROTTLED])
async def test_a_former_owners_late_word_that_it_sent_nothing_is_followed_by_the_next_attempt(
    policy: DoubtPolicy, outcome: AttemptOutcome
) -> None:
    """Kafka was slow when it gave its partitions away. By the list alone the category would decide, and a message that
    certainly was not sent end as `unknown`."""
    sent, twilio, kafka = order(doubt_policy=policy), FakeTwilio(), RecordingPublisher()
    write(kafka, sent, AttemptKind.INTENT, "former")
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        not_before_ms = wall_ms() + 2_000
        later: dict[str, Any] = {"outcome": outcome, "follows": Follows.RETRY, "follows_at": not_before_ms}
        write(kafka, sent, AttemptKind.RESULT, "former", **later)
        await here.until(lambda: record.finished)
        assert wall_ms() >= not_before_ms
        assert twilio.lists == []
        assert [attempt for _, attempt, _ in twilio.posts] == [2]
        assert here.attempts()[2:] == [("intent", "", 2), ("result", "accepted", 2)]


@pytest.mark.parametrize("intents", [["former", "other"], ["former"]], ids=["another's", "one that gave up looking"])
async def test_a_late_word_that_proves_nothing_of_what_is_in_doubt_spares_no_look(intents: list[str]) -> None:
    sent, twilio, kafka = order(doubt_policy=DoubtPolicy.RESEND), FakeTwilio(), RecordingPublisher()
    for owner in intents:
        write(kafka, sent, AttemptKind.INTENT, owner)
    twilio.kept.append(sent_message(sent, 1))
    outcome = AttemptOutcome.NOT_STARTED if len(intents) > 1 else AttemptOutcome.IN_DOUBT
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        write(kafka, sent, AttemptKind.RESULT, "former", outcome=outcome, follows=Follows.RETRY)
        await here.until(lambda: record.finished)
        assert twilio.posts == []
        assert [event.sid for event in here.told()] == [sid(1)]


@pytest.mark.parametrize("under_way", [True, False], ids=["while the POST is under way", "after it"])
@pytest.mark.parametrize("minutes", [2, -2])
async def test_a_wall_clock_that_is_set_neither_hurries_nor_misleads_the_look_into_twilios_list(
    minutes: int, under_way: bool
) -> None:
    """Twilio lists the message a moment after the answer was lost: a look too early, or one that takes the message for
    an older one, would send it again."""
    sent = order(doubt_policy=DoubtPolicy.RESEND)
    async with world() as here:
        here.twilio.answer = lambda order, attempt, number: InDoubt("timeout")
        here.twilio.hold = asyncio.Event()
        record = here.take(sent)
        await here.until(lambda: here.twilio.posts)
        if under_way:
            here.set_by_ms = minutes * 60_000
        here.twilio.hold.set()
        await here.until(lambda: len(here.engine.doubts))
        here.set_by_ms = minutes * 60_000
        listed = sent_message(sent, 1)
        asyncio.get_running_loop().call_later(0.3, here.twilio.kept.append, listed)
        await here.until(lambda: record.finished)
        assert len(here.twilio.posts) == 1
        assert [event.sid for event in here.told()] == [sid(1)]


@pytest.mark.parametrize("minutes", [2, -2])
async def test_a_wall_clock_that_is_set_does_not_mislead_a_successors_look_either(minutes: int) -> None:
    sent, kafka, twilio = order(doubt_policy=DoubtPolicy.RESEND), RecordingPublisher(), FakeTwilio()
    write(kafka, sent, AttemptKind.INTENT, "dead")
    older = sent_message(sent, 2, at_ms=wall_ms() - 90_000)
    twilio.kept += [older, sent_message(sent, 1)]
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        here.set_by_ms = minutes * 60_000
        await here.until(lambda: record.finished)
        assert twilio.posts == []
        assert [event.sid for event in here.told()] == [sid(1)]


# -- several to one person


def rewritten(body: str) -> Dispatch:
    """A messaging service may send it with another text than it was given."""
    return replace(order(body=body), sender=None, messaging_service_sid="MG" + "1" * 32)


@pytest.mark.parametrize("resends", [0, 2])
async def test_a_message_whose_every_answer_is_lost_is_sent_again_so_often_and_then_is_unknown(resends: int) -> None:
    async with world(resends=resends) as here:
        here.twilio.answer = lambda order, attempt, number: InDoubt("timeout")
        record = here.take(order(doubt_policy=DoubtPolicy.RESEND))
        await here.until(lambda: record.finished)
        assert [attempt for _, attempt, _ in here.twilio.posts] == list(range(1, resends + 2))
        [event] = here.told()
        assert (event.status, event.reason) == (MessageStatus.UNKNOWN, Reason.IN_DOUBT)
        last = here.told(ATTEMPTS)[-1]
        assert (last.outcome, last.follows) == (AttemptOutcome.IN_DOUBT, Follows.FINAL)


async def test_successors_count_the_attempts_that_others_lost_and_throttled_ones_do_not_count() -> None:
    sent, kafka, twilio = order(doubt_policy=DoubtPolicy.RESEND), RecordingPublisher(), FakeTwilio()
    ends = [(AttemptOutcome.IN_DOUBT, "one"), (AttemptOutcome.THROTTLED, "one"), (AttemptOutcome.IN_DOUBT, "two")]
    for attempt, (outcome, owner) in enumerate(ends, 1):
        write(kafka, sent, AttemptKind.INTENT, owner, attempt=attempt)
        write(kafka, sent, AttemptKind.RESULT, owner, attempt=attempt, outcome=outcome, follows=Follows.RETRY)
    twilio.answer = lambda order, attempt, number: InDoubt("timeout")
    async with world(kafka=kafka, twilio=twilio, resends=3) as here:
        record = here.take(sent)
        await here.until(lambda: record.finished)
        assert [attempt for _, attempt, _ in twilio.posts] == [4, 5]
        assert [event.status for event in here.told()] == [MessageStatus.UNKNOWN]


async def test_a_text_is_not_taken_for_a_rewritten_other_one_whose_record_has_not_come_yet() -> None:
    twilio, kafka = FakeTwilio(), RecordingPublisher()
    sent, never_left = rewritten("X"), rewritten("Y")
    for each in (sent, never_left):
        write(kafka, each, AttemptKind.INTENT, "dead", at=wall_ms() - 5_000)
    twilio.kept.append(sent_message(sent, 1))
    async with world(kafka=kafka, twilio=twilio) as here:
        first = here.take(never_left)
        await asyncio.sleep(4 * TICK_S)
        assert twilio.lists == []
        second = here.take(sent)
        await here.until(lambda: first.finished and second.finished)
        assert [each.body for each, _, _ in twilio.posts] == ["Y"]
        assert here.ends()[sent.message_id].sid == sid(1)


async def test_a_record_that_never_comes_holds_a_doubt_about_the_same_person_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.dispatch.doubts.SIBLINGS_WITHIN_S", 0.5)
    twilio, kafka = FakeTwilio(), RecordingPublisher()
    comes, never_comes = order(body="X"), order(body="Y")
    for each in (comes, never_comes):
        write(kafka, each, AttemptKind.INTENT, "dead", at=wall_ms() - 5_000)
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(comes)
        await here.until(lambda: record.finished)


async def test_a_message_that_the_list_got_while_it_was_read_is_not_taken_for_the_lost_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its POST began after the log was read, which therefore does not tell whose it is."""
    monkeypatch.setattr("streams.dispatch.doubts.TRY_AGAIN_S", 0.1)
    twilio, kafka = FakeTwilio(), RecordingPublisher()
    lost, other = order(body="same"), order(body="same")
    write(kafka, lost, AttemptKind.INTENT, "dead", at=wall_ms() - 5_000)
    twilio.listing = asyncio.Event()
    async with world(kafka=kafka, twilio=twilio) as here:
        records = [here.take(lost)]
        await here.until(lambda: twilio.lists)
        records.append(here.take(other))
        await here.until(lambda: records[1].finished)
        twilio.listing.set()
        await here.until(lambda: records[0].finished)
        assert len(twilio.kept) == 2
        assert len({event.sid for event in here.told()}) == 2


async def test_a_doubt_about_somebody_who_is_written_to_all_the_time_gets_the_silence_it_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.dispatch.doubts.SILENCE_AFTER_S", 0.3)

    class Slow(FakeTwilio):
        async def create(self, *args: Any, **options: Any) -> Answer:
            answer = await super().create(*args, **options)
            await asyncio.sleep(0.1)
            return answer

    twilio, kafka, lost = Slow(), RecordingPublisher(), order()
    write(kafka, lost, AttemptKind.INTENT, "dead", at=wall_ms() - 5_000)
    async with world(kafka=kafka, twilio=twilio) as here:
        others: list[Consumed] = []

        async def always_another() -> None:
            while True:
                others.append(here.take(order()))
                await asyncio.sleep(0.02)

        busy = asyncio.create_task(always_another())
        await here.until(lambda: here.engine.sender._correspondence.busy(("a", lost.recipient)))
        record = here.take(lost)
        await here.until(lambda: record.finished)
        busy.cancel()
        await here.until(lambda: all(other.finished for other in others))


async def test_a_sid_that_was_claimed_where_the_group_lay_before_its_move_is_not_taken_for_the_lost_one() -> None:
    twilio, kafka = FakeTwilio(), RecordingPublisher()
    before, lost = order(body="same"), order(body="same")
    accepted: dict[str, Any] = {"outcome": AttemptOutcome.ACCEPTED, "follows": Follows.FINAL}
    write(kafka, before, AttemptKind.INTENT, "old", at=wall_ms() - 9_000, partition=OLD_PLACE)
    write(kafka, before, AttemptKind.RESULT, "old", at=wall_ms() - 8_000, partition=OLD_PLACE, sid=sid(9), **accepted)
    twilio.kept.append(sent_message(before, 9, at_ms=wall_ms() - 9_000))
    write(kafka, lost, AttemptKind.INTENT, "dead", at=wall_ms() - 5_000)
    async with world(kafka=kafka, twilio=twilio, places=[PARTITION, OLD_PLACE]) as here:
        record = here.take(lost)
        await here.until(lambda: record.finished)
        assert len(twilio.kept) == 2
        assert here.ends()[lost.message_id].sid == sid(1)


# -- callbacks


def called_back(kafka: RecordingPublisher, sent: Dispatch, of: str, *, attempt: int = 1) -> None:
    """Twilio's callback for an attempt, as the bridge writes it."""
    said = Callback(
        message_id=sent.message_id,
        round=sent.round,
        attempt=attempt,
        source=CallbackSource.STATUS_CALLBACK,
        sid=of,
        account_sid="AC" + "0" * 32,
        status="sent",
        received_at=wall_ms(),
    )
    kafka.publish(LIFECYCLE, CODEC.encode(said), key=sent.message_id.encode())


async def test_a_callback_for_a_message_whose_intent_was_dated_by_a_clock_that_was_set_back_since_is_found() -> None:
    sent = order(doubt_policy=DoubtPolicy.RESEND)
    async with world() as here:
        here.set_by_ms = 300_000
        here.twilio.answer = lambda order, attempt, number: InDoubt("timeout")
        record = here.take(sent)
        await here.until(lambda: len(here.engine.doubts))
        here.set_by_ms = 0
        called_back(here.kafka, sent, sid(7))
        await here.until(lambda: record.finished)
        assert len(here.twilio.posts) == 1
        assert [event.sid for event in here.told()] == [sid(7)]


@pytest.mark.parametrize("unlisted", [Unavailable("HTTP 503"), None], ids=["no list can be had", "the list lags"])
async def test_a_callback_proves_that_twilio_has_a_message_that_its_list_does_not_show(
    unlisted: Unavailable | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.dispatch.doubts.DOUBT_ENDS_AFTER_S", 0.2)
    monkeypatch.setattr("streams.dispatch.doubts.TRY_AGAIN_S", 0.1)
    sent, twilio, kafka = order(doubt_policy=DoubtPolicy.RESEND), FakeTwilio(), RecordingPublisher()
    twilio.unlisted = unlisted
    write(kafka, sent, AttemptKind.INTENT, "dead", at=wall_ms() - 5_000)
    called_back(kafka, sent, sid(7))
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        await here.until(lambda: record.finished)
        assert twilio.posts == []
        assert [(event.status, event.sid) for event in here.told()] == [(MessageStatus.ACCEPTED, sid(7))]


@pytest.mark.parametrize(("round_of_callback", "attempt"), [(0, 2), (1, 1)], ids=["another attempt", "another round"])
async def test_a_callback_for_another_attempt_proves_nothing_of_this_one(round_of_callback: int, attempt: int) -> None:
    sent, twilio, kafka = order(), FakeTwilio(), RecordingPublisher()
    write(kafka, sent, AttemptKind.INTENT, "dead", at=wall_ms() - 5_000)
    called_back(kafka, replace(sent, round=round_of_callback), sid(7), attempt=attempt)
    async with world(kafka=kafka, twilio=twilio) as here:
        record = here.take(sent)
        await here.until(lambda: record.finished)
        assert len(twilio.posts) == 1


async def test_a_callbacks_sid_that_the_list_has_given_to_an_equal_text_is_not_counted_twice() -> None:
    twilio, kafka = FakeTwilio(), RecordingPublisher()
    never_left, sent = order(body="same"), order(body="same")
    write(kafka, never_left, AttemptKind.INTENT, "dead", at=wall_ms() - 6_000)
    write(kafka, sent, AttemptKind.INTENT, "dead", at=wall_ms() - 5_000)
    twilio.kept.append(sent_message(sent, 9))
    called_back(kafka, sent, sid(9))
    async with world(kafka=kafka, twilio=twilio) as here:
        records = [here.take(never_left), here.take(sent)]
        await here.until(lambda: all(record.finished for record in records))
        assert len(twilio.kept) == 2
        assert len({event.sid for event in here.told()}) == 2


# -- many people


async def test_lists_of_several_people_are_asked_for_side_by_side_within_their_budget() -> None:
    twilio, kafka = FakeTwilio(), RecordingPublisher()
    sent = [order(recipient=f"+1415555{number:04d}") for number in range(LISTS_AT_ONCE + 4)]
    for each in sent:
        write(kafka, each, AttemptKind.INTENT, "dead", at=wall_ms() - 5_000)
    twilio.listing = asyncio.Event()
    async with world(kafka=kafka, twilio=twilio) as here:
        began = time.monotonic()
        records = [here.take(each) for each in sent]
        await here.until(lambda: len(twilio.lists) == LISTS_AT_ONCE)
        assert time.monotonic() - began >= (LISTS_AT_ONCE - 1) / LISTS_PER_S - 0.01
        await asyncio.sleep(3 / LISTS_PER_S)
        assert len(twilio.lists) == LISTS_AT_ONCE, "no more are under way"
        twilio.listing.set()
        await here.until(lambda: all(record.finished for record in records))


# -- what is shown


async def test_the_metrics_tell_how_many_are_in_doubt_for_how_long_and_what_settled_them() -> None:
    def shown(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(f"commlayer_dispatch_{name}", labels) or 0.0

    def settled() -> Counter[str]:
        ways = ("told_by_log", "found_in_list", "told_by_callback", "sent_again", "unknown")
        return Counter({how: int(shown("doubts_resolved_total", how=how)) for how in ways})

    before, twilio, kafka = settled(), FakeTwilio(), RecordingPublisher()
    found, missing, called, stopped = (
        order(recipient=f"+1415555010{number}", doubt_policy=policy)
        for number, policy in enumerate([*[DoubtPolicy.RESEND] * 3, DoubtPolicy.STOP])
    )
    twilio.kept.append(sent_message(found, 1))
    called_back(kafka, called, sid(2))
    for each in (found, missing, called, stopped):
        write(kafka, each, AttemptKind.INTENT, "dead", at=wall_ms() - 5_000)
    twilio.listing = asyncio.Event()
    async with world(kafka=kafka, twilio=twilio) as here:
        stopped.deadline = wall_ms() + 1_000
        records = [here.take(each) for each in (found, missing, called, stopped)]
        assert shown("doubts_open") == 4
        await here.until(lambda: 5.0 <= shown("oldest_doubt_seconds") < 60.0)
        await here.until(lambda: wall_ms() > stopped.deadline)
        twilio.listing.set()
        await here.until(lambda: all(record.finished for record in records))
        await here.until(lambda: not shown("doubts_open") and not shown("oldest_doubt_seconds"))
    assert settled() - before == Counter(found_in_list=1, told_by_callback=1, sent_again=1, unknown=1)


@pytest.mark.parametrize("came", [Channel.SMS, Channel.WHATSAPP])
async def test_of_two_channels_of_one_messaging_service_each_is_looked_up_in_its_own_list(came: Channel) -> None:
    """A text to one person and a WhatsApp message to the same, of which one arrived."""
    sent = [order(doubt_policy=DoubtPolicy.RESEND) for _ in range(2)]
    for each, channel in zip(sent, (Channel.SMS, Channel.WHATSAPP), strict=True):
        each.channel, each.messaging_service_sid, each.sender = channel, "MG" + "0" * 32, None

    def answer(each: Dispatch, attempt: int, number: int) -> Answer:
        if attempt > 1:
            return here.twilio.accepted(each, number)
        if each.channel is came:
            here.twilio.kept.append(sent_message(each, number))
        return InDoubt("timeout")

    async with world() as here:
        here.twilio.answer = answer
        records = [here.take(each) for each in sent]
        await here.until(lambda: all(record.finished for record in records))
        again = [each.channel for each, attempt, _ in here.twilio.posts if attempt == 2]
        assert again == [each.channel for each in sent if each.channel is not came]
        assert Counter(each.to for each in here.twilio.kept).most_common(1)[0][1] == 1, "each has one"


async def test_a_message_sent_by_the_account_that_its_lane_had_before_is_looked_for_there() -> None:
    class TwoAccounts(FakeTwilio):
        async def list_to(self, account: Account, to: str, since_ms: int, **more: Any) -> Any:
            listing: Any = await super().list_to(account, to, since_ms, **more)
            return listing if account.name == "main" else replace(listing, messages=())

    sent, twilio, kafka = order(doubt_policy=DoubtPolicy.RESEND), TwoAccounts(), RecordingPublisher()
    write(kafka, sent, AttemptKind.INTENT, "dead")
    twilio.kept.append(sent_message(sent, 1))
    lanes = [lane("a", 1e6, account="other"), lane("b", 1e6, account="main")]
    async with world(*lanes, kafka=kafka, twilio=twilio) as here:
        record = here.take(replace(sent, account="other"))
        await here.until(lambda: record.finished)
        assert twilio.posts == []
        assert [event.sid for event in here.told()] == [sid(1)]
