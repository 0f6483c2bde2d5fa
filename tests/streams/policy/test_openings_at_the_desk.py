"""The people a WhatsApp sender may write to first in a day, over messages, crashes and owners."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from connectors.kafka.partitioning import partition_of
from schemas.records import Channel, Content, Dispatch, LifecycleEvent, MessageStatus
from streams.policy.config import PolicyConfig
from streams.policy.memory import Memory, recipient_of
from streams.policy.whatsapp import WINDOW_MS
from tests.streams.policy.installation import HOUR, NOW, config, request
from tests.streams.policy.remembering import DictState
from tests.streams.policy.test_desk import PARTITIONS, Counter, Event, asked

HOME = 3
TEMPLATE = Content(content_sid="HX" + "a" * 32)
PEOPLE = [
    number
    for number in (f"+4179123{each:04d}" for each in range(200))
    if partition_of(number.encode(), PARTITIONS) == HOME
]


def limited(share: int) -> PolicyConfig:
    """Every partition may open so many conversations a day."""
    senders = config().senders
    wa = replace(senders["wa"], daily_people=share * PARTITIONS)
    return config(senders={**senders, "wa": wa}, partitions=PARTITIONS)


def first_word(person: str, *, offset: int = 1, **changes: Any) -> Event:
    made = request(
        **{"recipient": person, "category": "service", "channel": Channel.WHATSAPP, "content": TEMPLATE, **changes}
    )
    return asked(made, topic="comms.requests.shop", offset=offset)


def outcomes(counter: Counter) -> list[MessageStatus]:
    return [record.status for _, record in counter.written if isinstance(record, LifecycleEvent)]


async def test_the_share_of_a_partition_is_used_up_by_people() -> None:
    counter = Counter(configured=limited(2))
    for offset, person in enumerate([PEOPLE[0], PEOPLE[1], PEOPLE[0], PEOPLE[2]]):
        await counter.serve(first_word(person, offset=offset))
    assert outcomes(counter) == [MessageStatus.ADMITTED] * 3 + [MessageStatus.DENIED]
    counter.now += WINDOW_MS
    await counter.serve(first_word(PEOPLE[2], offset=9, created_at=counter.now))
    assert outcomes(counter)[-1] is MessageStatus.ADMITTED


async def test_decisions_that_are_taken_at_the_same_time_share_the_last_place() -> None:
    counter = Counter(configured=limited(1))
    await asyncio.gather(*(counter.serve(first_word(person)) for person in PEOPLE[:5]))
    assert sorted(outcomes(counter)).count(MessageStatus.ADMITTED) == 1


async def test_a_new_owner_counts_on_from_what_is_remembered() -> None:
    state = DictState()
    before = Counter(configured=limited(1), state=state)
    await before.serve(first_word(PEOPLE[0]))
    after = Counter(configured=limited(1), state=state, now=NOW + 1)
    await after.serve(first_word(PEOPLE[1]))
    await after.serve(first_word(PEOPLE[0], offset=2))
    assert outcomes(after) == [MessageStatus.DENIED, MessageStatus.ADMITTED]


async def test_a_crash_before_the_decision_is_published_costs_no_second_place() -> None:
    state = DictState()
    crashed = Counter(configured=limited(2), state=state, lost_at=2)  # after the state, before the publication
    await crashed.serve(first_word(PEOPLE[0]))
    assert crashed.written == []
    after = Counter(configured=limited(2), state=state)
    await after.serve(first_word(PEOPLE[0]))
    await after.serve(first_word(PEOPLE[1]))
    assert [type(record) for _, record in after.written].count(Dispatch) == 2


async def test_the_opening_is_written_before_the_decision_so_that_a_crash_counts_rather_too_much() -> None:
    written: list[bytes] = []

    class Noting(DictState):
        async def put(self, partition: int, entries: Mapping[bytes, bytes | None]) -> None:
            written.extend(entries)
            await super().put(partition, entries)

    await Counter(configured=limited(1), state=Noting()).serve(first_word(PEOPLE[0]))
    assert [key.startswith(b"opened\x00wa\x00") for key in written] == [True, False]


@pytest.mark.parametrize(("age_h", "useless"), [(24, False), (26, True)])
async def test_what_is_remembered_of_it_is_swept_away_after_its_day(age_h: int, useless: bool) -> None:
    state = DictState()
    await Counter(configured=limited(1), state=state).serve(first_word(PEOPLE[0]))
    [(key, value)] = state.scan(HOME, b"opened\x00")
    assert Memory(state).useless(key, value, NOW + age_h * HOUR) is useless
    assert recipient_of(key) == PEOPLE[0].encode(), "it is left alone while the person has their turn"
