"""A request without idempotency key is known by its place in its topic. Where that is deleted and made anew, places
come again: what lies there then is a message of its own."""

from __future__ import annotations

from dataclasses import replace

import pytest

from connectors.kafka.origin import ORIGIN_HEADER, ORIGIN_TIME_HEADER
from schemas import ids
from schemas.records import Content, Deferral, Dispatch, MessageRequest
from streams.policy.memory import Memory

from .installation import MINUTE, MOBILE, NOW, request
from .test_desk import Counter, Event, asked
from .test_putting_off import UNTIL, putting_off, returned
from .test_rounds_at_the_desk import again, orders, told

LATER_S = 3600.0
OLD, NEW = request(), request(content=Content(body="of the new topic"))


def in_the_new_topic(first: Event, said: MessageRequest = NEW) -> Event:
    """A record at the same place, in the topic that took the first one's name."""
    made = asked(said)
    return again(made, offset=first.message.offset, timestamp=first.message.timestamp + LATER_S)


@pytest.mark.parametrize("said", [NEW, OLD], ids=["another text", "the same text"])
async def test_what_lies_where_another_request_lay_is_sent_and_told_under_an_id_of_its_own(
    said: MessageRequest,
) -> None:
    counter, first = Counter(), asked(OLD)
    await counter.serve(first)
    second = in_the_new_topic(first, said)
    await counter.serve(second)
    one, other = orders(counter)
    assert (one.body, other.body, other.again) == (OLD.content.body, said.content.body, False)
    place = (first.message.topic, first.message.partition, first.message.offset)
    at = round(second.message.timestamp * 1000)
    assert (one.message_id, other.message_id) == (
        ids.message_id_by_origin(*place),
        ids.message_id_by_reused_origin(*place, at),
    )
    assert [event.message_id for event in told(counter)] == [one.message_id, other.message_id]
    assert second.acked
    for record, order in ((first, one), (second, other)):  # both are known as what they are
        await counter.serve(again(record))
        assert orders(counter)[-1] == replace(order, again=True)


async def test_a_redelivery_is_the_same_message_in_every_later_round() -> None:
    counter, first = Counter(), asked(request(not_before=NOW + MINUTE))
    await counter.serve(first)
    [deferral] = [record for _, record in counter.written if isinstance(record, Deferral)]
    counter.now = NOW + MINUTE
    await counter.serve(asked(deferral, topic="comms.deferred.1m", key=MOBILE.encode()))
    await counter.serve(again(first))
    assert len(orders(counter)) == 1


@pytest.mark.parametrize("later_s", [0.0, LATER_S])
async def test_what_an_earlier_version_decided_and_did_not_date_is_taken_for_the_same(later_s: float) -> None:
    counter, first = Counter(), asked(OLD)
    await counter.serve(first)
    memory, home = Memory(counter.state), first.message.partition
    decided = memory.decision(home, MOBILE, orders(counter)[0].message_id)
    assert decided is not None
    await memory.keep_decision(home, MOBILE, replace(decided, digest=None))
    await counter.serve(again(first, timestamp=first.message.timestamp + later_s))
    one, other = orders(counter)
    assert other == replace(one, again=True)


async def test_two_copies_in_the_right_partition_of_a_record_that_lay_in_a_wrong_one_are_one_message() -> None:
    counter, first = Counter(), asked(OLD)
    stray = again(first, partition=(first.message.partition + 1) % 8)
    for _ in range(2):  # a crash between the copy and the end of the first
        await counter.serve(again(stray))
    copies = [returned(record, offset) for offset, record in enumerate(counter.publisher.records)]
    for number, copy in enumerate(copies):
        copy.message.timestamp += number
        await counter.serve(copy)
    one, other = orders(counter)
    assert other == replace(one, again=True)
    without_time = {name: value for name, value in copies[0].message.headers if name != ORIGIN_TIME_HEADER}
    assert ORIGIN_HEADER in without_time
    await counter.serve(again(copies[0], headers=tuple(without_time.items())))  # an earlier version wrote it
    assert orders(counter)[-1] == other


async def test_a_request_that_went_round_by_the_wheel_is_known_by_its_own_time() -> None:
    counter, first = Counter(), asked(OLD)
    await counter.serve(first)
    second = in_the_new_topic(first)
    counter.publisher.records.clear()
    assert await putting_off(counter).put_off(second, UNTIL)
    copy = returned(counter.publisher.records.pop())
    counter.now = UNTIL
    await counter.serve(copy)
    await counter.serve(again(second))
    one, other = orders(counter)
    assert isinstance(one, Dispatch)
    assert one.body == NEW.content.body
    assert other == replace(one, again=True)
