"""A policy process that falls asleep in the middle of its loop and wakes up when others have had its partitions: what
it writes then is no second decision, for nobody who comes after it."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from schemas import ids
from schemas.records import Content, Dispatch, LifecycleEvent, MessageClass, MessageRequest, PolicyDecision
from schemas.topics import LIFECYCLE, POLICY_STATE, dispatch_topic, request_topic
from tests.streams.cluster import CODEC, own_cluster, records, until_committed
from tests.support.kafka import Kafka, Outgoing
from tests.support.processes import Child
from tests.support.waiting import until

from .cluster import wall_ms
from .installation import config

ROOT = Path(__file__).parents[3]
SHOP = request_topic("shop")
ORDERS = dispatch_topic(MessageClass.NORMAL)
MESSAGES = 240
NEVER_S = 3600.0
SHORT_SESSIONS: dict[str, Any] = {"session_timeout_s": 3.0, "heartbeat_interval_s": 0.3, "request_timeout_s": 1.0}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(config().apps) as kafka:
        yield kafka


@dataclass
class Succession:
    """Policy processes of one group, one after the other, each with another sender to choose: whoever decides anew
    decides otherwise."""

    kafka: Kafka
    folder: Path
    name: str
    children: dict[str, Child] = field(default_factory=dict)

    def start(self, owner: str, lane: str, fault: tuple[str, int] | None = None, *, commits: bool = False) -> Child:
        mark = str(self.folder / f"{owner}.mark")
        told: dict[str, Any] = {
            "bootstrap": self.kafka.bootstrap,
            "group": self.name,
            "datadir": str(self.folder / owner),
            "campaigns": [lane],
            "kafka": SHORT_SESSIONS if commits else {**SHORT_SESSIONS, "commit_interval_s": NEVER_S},
            **({"fault": [*fault, signal.SIGSTOP, mark]} if fault else {}),
        }
        command = [sys.executable, "-m", "tests.streams.policy.worker", json.dumps(told)]
        self.children[owner] = Child(owner, command, log=self.folder / f"{owner}.log", cwd=ROOT)
        return self.children[owner]

    async def until_shared(self, *children: Child) -> None:
        """Wait until each of them has partitions."""
        await until(lambda: all("records flow" in child.output() for child in children), 60, "partitions for all")

    async def until_asleep(self, *owners: str) -> None:
        marks = [self.folder / f"{owner}.mark" for owner in owners]
        await until(lambda: all(mark.exists() for mark in marks), 60, "all to fall asleep")

    def decided_twice(self, ids_of: set[str]) -> set[str]:
        """Messages of which two decisions with different senders are in the log of the state."""
        senders: dict[str, set[str | None]] = {}
        for stored in self.kafka.consume_all(POLICY_STATE):
            if stored.key is not None and b"\x00d" in stored.key and stored.value is not None:
                decision = CODEC.decode(stored.value)
                assert isinstance(decision, PolicyDecision)
                senders.setdefault(decision.message_id, set()).add(decision.sender)
        return {key for key, chosen in senders.items() if len(chosen) > 1} & ids_of

    def late_orders(self, before: dict[str, list[tuple[int, Dispatch]]], ids_of: set[str]) -> set[str]:
        """Messages with a copy more than before that does not say `again`."""
        now = self.orders(ids_of)
        return {key for key in now if any(not order.again for _, order in now[key][len(before[key]) :])}

    def orders(self, ids_of: set[str]) -> dict[str, list[tuple[int, Dispatch]]]:
        """Partition and content of every dispatch record, by message."""
        found: dict[str, list[tuple[int, Dispatch]]] = {}
        for stored in self.kafka.consume_all(ORDERS):
            order = CODEC.decode(stored.value or b"")
            assert isinstance(order, Dispatch)
            if order.message_id in ids_of:
                found.setdefault(order.message_id, []).append((stored.partition, order))
        return found

    async def until_told(self, ids_of: set[str]) -> None:
        def missing() -> set[str]:
            told = {each.message_id for each in records(self.kafka, LIFECYCLE) if isinstance(each, LifecycleEvent)}
            return ids_of - told

        await until_thread(lambda: not missing(), "every message to be decided")


@pytest.fixture
def succession(cluster: Kafka, tmp_path: Path) -> Iterator[Succession]:
    made = Succession(cluster, tmp_path, cluster.unique("policy"))
    yield made
    for child in made.children.values():
        child.kill()


def load() -> tuple[list[Outgoing], set[str]]:
    """One service message each."""
    made, wanted = [], set()
    for number in range(MESSAGES):
        recipient = f"+41793{number:06d}"
        asked = MessageRequest(
            recipient=recipient,
            category="service",
            content=Content(body=f"message {number}"),
            idempotency_key="k",
            created_at=wall_ms(),
        )
        made.append(Outgoing(SHOP, CODEC.encode(asked), recipient.encode()))
        wanted.add(ids.message_id_by_key("shop", recipient, "k"))
    return made, wanted


async def until_thread(condition: Callable[[], object], what: str) -> None:
    for _ in range(300):
        if await asyncio.to_thread(condition):
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"waited in vain for {what}")


async def test_two_wake_up_behind_their_successor_and_a_third_owner_still_decides_alike(succession: Succession) -> None:
    made, wanted = load()
    undecided = succession.start("undecided", "promo-a", ("decision judged", MESSAGES // 8))
    decided = succession.start("decided", "promo-a", ("order judged", MESSAGES // 8))
    await succession.until_shared(undecided, decided)
    await asyncio.to_thread(succession.kafka.produce, made)
    await succession.until_asleep("undecided", "decided")
    second = succession.start("second", "promo-b")  # when their sessions are over it has what they had
    await succession.until_told(wanted)
    before = await asyncio.to_thread(succession.orders, wanted)
    undecided.signal(signal.SIGCONT)
    decided.signal(signal.SIGCONT)
    await until_thread(lambda: succession.decided_twice(wanted), "a late decision behind the successor's")
    await until_thread(lambda: succession.late_orders(before, wanted), "a late order behind the successor's")
    for each in (undecided, decided, second):  # nothing was committed: whoever comes gets every request again
        await asyncio.to_thread(each.kill)
    third = succession.start("third", "promo-b", commits=True)
    try:
        await until_committed(succession.kafka, succession.name, SHOP)
    finally:
        code = await asyncio.to_thread(third.stop)
    assert code == 0, third.output()
    after = await asyncio.to_thread(succession.orders, wanted)
    assert after.keys() == wanted
    assert all(len(after[each]) > len(before[each]) for each in wanted), "the third had nothing to say"
    for copies in after.values():
        assert len({partition for partition, _ in copies}) == 1, "on two lanes"
        assert len({repr(replace(order, again=True)) for _, order in copies}) == 1, "decided anew"
    lanes = {copies[0][1].lane for copies in after.values()}
    assert lanes == {"promo-a", "promo-b"}, "the sleepers had decided some and not all"
