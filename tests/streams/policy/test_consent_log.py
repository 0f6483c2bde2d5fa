"""Consent outlives a comms.consent that is made anew, and a state that is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.kafka.hooks import Loss
from connectors.kafka.topic_partition import TP
from schemas.reasons import Reason
from schemas.records import Channel, Consent, ConsentChange, ConsentScope, ConsentSource, LifecycleEvent, MessageStatus
from schemas.topics import CONSENT, INBOUND, LIFECYCLE, POLICY_STATE
from streams.consent import About, Ledger
from streams.policy.consent_log import PAGE, ConsentLog
from streams.policy.memory import Memory
from tests.streams.cluster import COUNTS, own_cluster, until_committed
from tests.streams.policy.installation import MOBILE, config
from tests.streams.policy.remembering import DictState
from tests.support.kafka import Kafka

from .cluster import ask, found, opt, ours, person, policy

HOME = 3
ANYTHING = About(channel=Channel.SMS, category="service")


class PagedState(DictState):
    def page(self, partition: int, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        return sorted(entry for entry in self.entries.get(partition, {}).items() if entry[0] >= start)[:limit]


class World:
    """One partition's state, and a comms.consent whose id can change."""

    def __init__(self, topic: str = "first") -> None:
        self.state = PagedState()
        self.memory = Memory(self.state)
        self.topic = topic
        self.log = ConsentLog(self.state, self.memory, self._id)

    async def _id(self) -> str:
        return self.topic

    async def assigned(self) -> bool:
        """As after a start of the process. Whether consent is read from its start."""
        self.log.drop([HOME])
        await self.log.opened([HOME])
        return self.log.from_start(TP(CONSENT, HOME))

    async def fold(self, change: ConsentChange, position: int, *, at: int = 1, recipient: str = MOBILE) -> None:
        record = Consent(
            consent_id="c",
            recipient=recipient,
            change=change,
            scope=ConsentScope.ALL,
            source=ConsentSource.KEYWORD,
            at=at,
        )
        ledger, written = self.memory.person(HOME, recipient)
        await self.memory.keep_person(HOME, recipient, ledger.folded(record, position), written)

    def ledger(self, recipient: str = MOBILE) -> Ledger:
        return self.memory.person(HOME, recipient)[0]

    def opted_out(self) -> bool:
        return self.ledger().opted_out(ANYTHING, 10) is not None


async def test_a_partition_is_read_from_its_start_until_all_was_read_once() -> None:
    world = World()
    assert await world.assigned()
    assert await world.assigned(), "the first time was not read to its end"
    await world.log.read(HOME)
    assert not world.log.from_start(TP(CONSENT, HOME))
    assert not await world.assigned()
    assert not world.log.from_start(TP(INBOUND, HOME))


async def test_a_state_that_was_lost_is_made_again_from_the_start() -> None:
    world = World()
    await world.assigned()
    await world.log.read(HOME)
    world.state.entries.clear()
    assert await world.assigned()


async def test_of_a_topic_that_was_made_anew_every_change_counts_and_what_was_known_stays() -> None:
    world = World()
    await world.assigned()
    await world.log.read(HOME)
    await world.fold(ConsentChange.OPT_OUT, 700)
    await world.fold(ConsentChange.OPT_IN, 900, at=2)
    world.topic = "second"
    assert await world.assigned()
    assert not world.opted_out()
    await world.fold(ConsentChange.OPT_OUT, 0, at=3)
    assert world.opted_out(), "a STOP at a position that was folded of the former topic"
    assert await world.assigned(), "killed before it was read to its end"
    assert world.opted_out()
    await world.log.read(HOME)
    assert not await world.assigned()
    await world.fold(ConsentChange.OPT_IN, 1, at=4)
    assert not world.opted_out()


async def test_a_no_of_the_former_topic_stays_until_the_person_lifts_it() -> None:
    world = World()
    await world.fold(ConsentChange.OPT_OUT, 700, at=5_000)
    await world.log.lost(Loss(TP(CONSENT, HOME), 0, 0, 900, "truncated"))
    assert world.opted_out()
    await world.fold(ConsentChange.OPT_IN, 3, at=1)
    assert world.opted_out(), "an old yes that lies in the new log"
    await world.fold(ConsentChange.OPT_IN, 4, at=6_000)
    assert not world.opted_out()


async def test_everybody_in_a_partition_begins_anew_and_nothing_else_there_is_touched() -> None:
    world = World()
    people = [f"+4179{number:07d}" for number in range(PAGE + 20)]
    for each in people:
        await world.fold(ConsentChange.OPT_OUT, 50, recipient=each)
    others = {MOBILE.encode() + b"\x00dm-1": b"decision", b"opened\x00wa\x00+41": b"opening"}
    await world.state.put(HOME, dict(others))
    await world.log.lost(Loss(TP(CONSENT, HOME), 0, 0, 900, "truncated"))
    assert {world.ledger(each).position for each in people} == {-1}
    assert {key: world.state.get(HOME, key) for key in others} == others


@pytest.mark.parametrize(
    "loss",
    [Loss(TP(CONSENT, HOME), 0, 5, 3, "retention"), Loss(TP(INBOUND, HOME), 0, 0, 900, "truncated")],
    ids=lambda loss: f"{loss.tp.topic} {loss.reason}",
)
async def test_other_losses_leave_the_ledgers_as_they_are(loss: Loss) -> None:
    world = World()
    await world.fold(ConsentChange.OPT_OUT, 700)
    await world.log.lost(loss)
    assert world.ledger().position == 701


async def test_where_a_broker_gives_topics_no_id_only_a_missing_entry_counts() -> None:
    world = World(topic="")
    assert await world.assigned()
    await world.log.read(HOME)
    assert not await world.assigned()


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(config().apps) as kafka:
        yield kafka


def made_anew(kafka: Kafka, topic: str) -> None:
    kafka.delete_topics([topic])
    kafka.create_topics({topic: COUNTS.recipient})


async def test_a_stop_on_a_topic_that_was_made_anew_counts(cluster: Kafka, tmp_path: Path) -> None:
    group, before, after = cluster.unique("policy"), range(10), range(10, 30)
    noise = [opt(number, ConsentChange.OPT_IN, at) for at in range(1, 20) for number in after]
    await asyncio.to_thread(cluster.produce, noise + [opt(number, ConsentChange.OPT_OUT, 20) for number in before])
    async with policy(cluster, tmp_path, group=group):
        await until_committed(cluster, group, CONSENT)
    await asyncio.to_thread(made_anew, cluster, CONSENT)
    await asyncio.to_thread(cluster.produce, [opt(number, ConsentChange.OPT_OUT, 30) for number in after])
    asked = [ask(number, app="shop", category="service") for number in (*before, *after)]
    async with policy(cluster, tmp_path, group=group):
        await asyncio.to_thread(cluster.produce, asked)
        told = await found(cluster, LIFECYCLE, LifecycleEvent, ours(*before, *after), len(asked))
    assert {event.recipient: (event.status, event.reason) for event in told} == {
        person(number): (MessageStatus.DENIED, Reason.OPTED_OUT) for number in (*before, *after)
    }


async def test_a_stop_that_was_committed_before_the_state_was_lost_counts(cluster: Kafka, tmp_path: Path) -> None:
    group, people = cluster.unique("policy"), range(100, 120)
    await asyncio.to_thread(cluster.produce, [opt(number, ConsentChange.OPT_OUT, 1) for number in people])
    async with policy(cluster, tmp_path / "before", group=group):
        await until_committed(cluster, group, CONSENT)
    await asyncio.to_thread(made_anew, cluster, POLICY_STATE)
    asked = [ask(number, app="shop", category="service") for number in people]
    async with policy(cluster, tmp_path / "after", group=group):
        await asyncio.to_thread(cluster.produce, asked)
        told = await found(cluster, LIFECYCLE, LifecycleEvent, ours(*people), len(asked))
    assert {(event.status, event.reason) for event in told} == {(MessageStatus.DENIED, Reason.OPTED_OUT)}
