"""A record that goes round by the wheel because too many of its person's wait: it comes back as what it was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connectors.kafka.partitioning import partition_of
from schemas.reasons import Reason
from schemas.records import Cancellation, DeadLetter, Deferral, Dispatch, LifecycleEvent, Stage
from streams.policy.putting_off import PuttingOff
from streams.policy.wheel import COMES_AGAIN_HEADER, comes_again_at, is_urgent
from tests.support.kafka import Outgoing

from .installation import AMERICAN, MOBILE, NOW, request
from .test_desk import CODEC, PARTITIONS, TRACE, Counter, Event, Message, asked

URGENT = "comms.requests.login.urgent"
UNTIL = NOW + 12_000


def putting_off(counter: Counter) -> PuttingOff:
    return PuttingOff(counter.world)


def returned(written: Outgoing, offset: int = 7) -> Event:
    assert written.key is not None
    headers = tuple((name, value or b"") for name, value in written.headers or ())
    partition = partition_of(written.key, PARTITIONS)
    return Event(Message(written.topic, partition, offset, written.key, written.value, headers))


def admitted(counter: Counter) -> list[Dispatch]:
    return [record for _, record in counter.written if isinstance(record, Dispatch)]


@pytest.mark.parametrize("key", [None, "order-17"])
async def test_a_request_comes_back_as_the_message_that_it_would_have_been(key: str | None) -> None:
    counter, straight = Counter(), Counter()
    said = request(idempotency_key=key)
    event = asked(said, topic=URGENT, headers=(("traceparent", TRACE.encode()),))
    assert await putting_off(counter).put_off(event, UNTIL)
    [written] = counter.publisher.records
    assert event.acked
    assert (written.topic, written.key) == ("comms.deferred.10s", MOBILE.encode())
    back = returned(written)
    assert (comes_again_at(back.message), is_urgent(back.message)) == (UNTIL, True)
    counter.now = UNTIL
    await counter.serve(back)
    await straight.serve(asked(said, topic=URGENT, headers=(("traceparent", TRACE.encode()),)))
    [now], [then] = admitted(counter), admitted(straight)
    assert replace(now, decided_at=0, deadline=0) == replace(then, decided_at=0, deadline=0)
    assert now.deadline == then.deadline


async def test_an_urgent_request_of_another_category_is_denied_on_this_road_too() -> None:
    counter = Counter()
    event = asked(request(category="service"), topic="comms.requests.shop.urgent")
    assert await putting_off(counter).put_off(event, UNTIL)
    counter.now = UNTIL
    await counter.serve(returned(counter.publisher.records[0]))
    told = counter.written[-1][1]
    assert isinstance(told, LifecycleEvent)
    assert told.reason is Reason.NOT_URGENT or told.reason == Reason.NOT_URGENT.value


@pytest.mark.parametrize("key", [None, "order-17"])
async def test_a_copy_that_a_crash_leaves_behind_makes_no_second_message(key: str | None) -> None:
    counter = Counter()
    lost = asked(request(idempotency_key=key))
    assert await putting_off(counter).put_off(lost, UNTIL)
    copy = counter.publisher.records[0]
    again = asked(request(idempotency_key=key))  # its end was not committed
    await counter.serve(again)
    counter.now = UNTIL
    await counter.serve(returned(copy))
    first, second = admitted(counter)
    assert second == replace(first, again=True)


async def test_what_is_on_the_wheel_is_passed_on_unchanged_with_its_last_moment() -> None:
    counter = Counter()
    deferral = Deferral(
        message_id="m", round=3, app="login", due_at=NOW, reason="quota_exceeded", by=Stage.POLICY, at=NOW - 1
    )
    value, key = CODEC.encode(deferral), MOBILE.encode()
    headers = ((COMES_AGAIN_HEADER, b"5"), ("commlayer-urgent", b"1"))
    event = Event(Message("comms.deferred.1m", partition_of(key, PARTITIONS), 9, key, value, headers))
    assert await putting_off(counter).put_off(event, NOW + 1_000)
    [written] = counter.publisher.records
    assert (written.topic, written.key, written.value) == ("comms.deferred.1s", key, value)
    assert list(written.headers or ()) == [("commlayer-urgent", b"1"), (COMES_AGAIN_HEADER, str(NOW + 1_000).encode())]


@pytest.mark.parametrize(
    "event",
    [
        asked(Cancellation(recipient=MOBILE, idempotency_key="k", requested_at=NOW)),
        asked(request(), partition=(partition_of(MOBILE.encode(), PARTITIONS) + 1) % PARTITIONS),
        asked(request(), key=AMERICAN.encode()),
        asked(request(recipient="nobody"), key=b"nobody"),
        asked(request(), topic="comms.requests.stranger"),
    ],
)
async def test_what_has_no_place_of_its_own_or_takes_something_back_is_served_where_it_is(event: Event) -> None:
    counter = Counter()
    assert not await putting_off(counter).put_off(event, UNTIL)
    assert not event.acked
    assert counter.written == []


async def test_what_cannot_be_read_is_a_dead_letter_and_what_is_anothers_by_now_is_left() -> None:
    counter: Any = Counter()
    garbage = asked(b"no avro")
    assert await putting_off(counter).put_off(garbage, UNTIL)
    assert garbage.acked
    [(_, letter)] = counter.written
    assert isinstance(letter, DeadLetter)
    counter.mine = False
    others = asked(request())
    assert await putting_off(counter).put_off(others, UNTIL)
    assert not others.acked
    assert len(counter.written) == 1
