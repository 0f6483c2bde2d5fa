"""kill -9 and SIGSTOP of policy processes under load, on a real broker: every request has one outcome, no message is on
two lanes, no repeat becomes a second message, no cap is exceeded."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from schemas import ids
from schemas.reasons import Reason
from schemas.records import Content, Dispatch, LifecycleEvent, MessageClass, MessageRequest, MessageStatus
from schemas.topics import DEAD, LIFECYCLE, dispatch_topic, request_topic
from tests.streams.cluster import CODEC, own_cluster, records, until_committed
from tests.support.kafka import Kafka, Outgoing
from tests.support.processes import Child
from tests.support.waiting import until

from .cluster import wall_ms
from .installation import config
from .worker import CAP

ROOT = Path(__file__).parents[3]
PEOPLE = 150
SHOP = request_topic("shop")
LANES = [dispatch_topic(MessageClass.BULK), dispatch_topic(MessageClass.NORMAL)]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(config().apps) as kafka:
        yield kafka


@dataclass
class Load:
    """Requests of one test; people of its own.

    Attributes:
        message_ids: of every message asked for; repeats have that of the first.
    """

    first_person: int
    people: int = PEOPLE
    requests: list[Outgoing] = field(default_factory=list)
    message_ids: set[str] = field(default_factory=set)

    def person(self, number: int) -> str:
        return f"+41792{self.first_person + number:06d}"

    def add(self, number: int, index: int, category: str, *, after_ms: int = 0, app: str = "shop") -> None:
        recipient, key = self.person(number), f"{category}-{index}"
        request = MessageRequest(
            recipient=recipient,
            category=category,
            content=Content(body=f"{category} {index} for {number}"),
            idempotency_key=key,
            not_before=wall_ms() + after_ms if after_ms else None,
            created_at=wall_ms(),
        )
        self.requests.append(Outgoing(request_topic(app), CODEC.encode(request), recipient.encode()))
        self.message_ids.add(ids.message_id_by_key(app, recipient, key))


def load(first_person: int, rnd: random.Random, people: int = PEOPLE, last_s: float = 9.0) -> Load:
    """For each person five adverts, two more than the cap lets through, three services of which one waits on the wheel,
    for 6 to `last_s` seconds from now on; a third of the requests again under the same key."""
    made = Load(first_person, people)
    for index in range(5):
        for number in range(people):
            made.add(number, index, "marketing")
            if index < 3:
                made.add(number, index, "service", after_ms=int(rnd.uniform(6.0, last_s) * 1000) if index == 0 else 0)
    made.requests += rnd.sample(made.requests, len(made.requests) // 3)
    return made


def worker(kafka: Kafka, group: str, folder: Path, *, instance: str, static: bool = True, **more: Any) -> Child:
    told = {
        "bootstrap": kafka.bootstrap,
        "group": group,
        "datadir": str(folder / instance),
        "instance": instance if static else None,
        **more,
    }
    command = [sys.executable, "-m", "tests.streams.policy.worker", json.dumps(told)]
    return Child(f"policy {instance}", command, log=folder / f"{instance}.log", cwd=ROOT)


def admitted(kafka: Kafka) -> int:
    return sum(sum(kafka.end_offsets(topic).values()) for topic in LANES)


async def until_decided(kafka: Kafka, wanted: set[str]) -> None:
    """Wait until every message was admitted or denied, whatever else was said of it."""

    def missing() -> set[str]:
        told = (one for one in records(kafka, LIFECYCLE) if isinstance(one, LifecycleEvent))
        return wanted - {one.message_id for one in told if one.status is not MessageStatus.DEFERRED}

    for _ in range(240):
        left = await asyncio.to_thread(missing)
        if not left:
            return
        await asyncio.sleep(0.5)
    raise AssertionError(f"{len(left)} messages are not decided")


def check(kafka: Kafka, made: Load) -> None:
    """The promises, by what stands on the topics."""
    people = {made.person(number) for number in range(made.people)}
    told = [one for one in records(kafka, LIFECYCLE) if isinstance(one, LifecycleEvent) and one.recipient in people]
    final: dict[str, set[MessageStatus]] = defaultdict(set)
    for event in told:
        if event.status is not MessageStatus.DEFERRED:
            final[event.message_id].add(event.status)
    assert final.keys() == made.message_ids, "lost, or a message that nobody asked for"
    assert {key for key, statuses in final.items() if len(statuses) > 1} == set(), "two outcomes"
    steps = [one for one in told if one.reason != Reason.REPEATED]
    assert all(len({one.event_id for one in steps if one.message_id == key}) <= 2 for key in list(final)[:50])

    placed: dict[tuple[str, int], set[tuple[str, int]]] = defaultdict(set)
    said: dict[tuple[str, int], list[Dispatch]] = defaultdict(list)
    for topic in LANES:
        for stored in kafka.consume_all(topic):
            order = CODEC.decode(stored.value or b"")
            assert isinstance(order, Dispatch)
            if order.recipient in people:
                placed[order.message_id, order.round].add((topic, stored.partition))
                said[order.message_id, order.round].append(order)
    assert {key for key, places in placed.items() if len(places) > 1} == set(), "on two lanes"
    assert len({message_id for message_id, _ in said}) == len(said), "admitted in two rounds"
    assert {message_id for message_id, _ in said} == {
        key for key, statuses in final.items() if statuses == {MessageStatus.ADMITTED}
    }
    for copies in said.values():
        # Who was killed between the two writes never said `again`; every copy after the first does.
        assert sum(not copy.again for copy in copies) <= 1
        assert len({replace(copy, again=True).to_avro().__repr__() for copy in copies}) == 1, "decided anew"

    adverts = Counter(copies[0].recipient for copies in said.values() if copies[0].category == "marketing")
    assert max(adverts.values()) <= CAP.at_most
    assert adverts == Counter(dict.fromkeys(people, CAP.at_most)), "a cap let through less than it may"
    assert records(kafka, DEAD) == []


STEPS_HERE = (
    "wheel record acknowledged",
    "decision acknowledged",
    "order handed over",
    "story judged",
    "commit confirmed",
)
"""The others are in tests/hazards/long/test_policy_steps.py."""


@pytest.mark.timeout(300)
async def test_killed_at_steps_of_its_loop_it_decides_everything_once(cluster: Kafka, tmp_path: Path) -> None:
    made = await killed_at(STEPS_HERE, cluster, tmp_path, lambda: load(0, random.Random(7)))
    await asyncio.to_thread(check, cluster, made)


async def killed_at(steps: Sequence[str], kafka: Kafka, folder: Path, make: Callable[[], Load]) -> Load:
    """Kill one process after the other, each at its step, with more to decide for each; the last one ends the work.
    Returns what was asked for. It is made when the first process reads: what is to wait on the wheel is not due yet."""
    group, made = kafka.unique("policy"), None
    for number, step in enumerate(steps):
        nth = 2 if step == "commit confirmed" else 5 if step.startswith("wheel") else 20
        process = worker(kafka, group, folder, instance="one", fault=[step, nth])
        try:
            if made is None:
                await until(lambda: "records flow" in process.output(), 60, "it never read")  # noqa: B023
                made = make()
                random.Random(9).shuffle(made.requests)
                size = -(-len(made.requests) // len(steps))
            await asyncio.to_thread(kafka.produce, made.requests[number * size : (number + 1) * size])
            await until(lambda: process.returncode is not None, 60, f"never came to {step!r}")  # noqa: B023
            assert process.returncode == -signal.SIGKILL, process.output()
        finally:
            await asyncio.to_thread(process.kill)
    assert made is not None
    process = worker(kafka, group, folder, instance="one")
    try:
        await until_decided(kafka, made.message_ids)
        await until_committed(kafka, group, SHOP)
    finally:
        code = await asyncio.to_thread(process.stop)
    assert code == 0, process.output()
    return made


@pytest.mark.timeout(300)
async def test_one_that_slept_through_its_session_changes_nothing_when_it_wakes(cluster: Kafka, tmp_path: Path) -> None:
    group, rnd = cluster.unique("policy"), random.Random(8)
    made, before = load(1_000, rnd), admitted(cluster)
    sleeper = worker(cluster, group, tmp_path, instance="sleeper")
    heir = None
    try:
        await asyncio.to_thread(cluster.produce, made.requests)
        await until(lambda: admitted(cluster) >= before + PEOPLE, 60)
        sleeper.signal(signal.SIGSTOP)  # in the middle of a thousand decisions
        heir = worker(cluster, group, tmp_path, instance="heir")
        await until_decided(cluster, made.message_ids)
        sleeper.signal(signal.SIGCONT)
        await asyncio.sleep(5)
        await until_committed(cluster, group, SHOP)
        assert heir.returncode is None, heir.output()
    finally:
        await asyncio.to_thread(sleeper.stop)
        if heir is not None:
            await asyncio.to_thread(heir.stop)
    check(cluster, made)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("static", [False, pytest.param(True, marks=pytest.mark.long)])
async def test_an_app_is_added_under_load_in_a_rolling_restart_and_everything_is_decided_once(
    cluster: Kafka, tmp_path: Path, *, static: bool
) -> None:
    """For a while one process reads the new app's topic and the other does not, so that Kafka deals the partitions of
    the topics out unevenly: a person's requests of both apps are still decided in one place."""
    group, rnd = cluster.unique("policy"), random.Random(9)
    made, added, before = load(2_000, rnd), Load(2_000), admitted(cluster)
    for number in range(PEOPLE):
        added.add(number, 0, "service", app="swiss")
    half = len(made.requests) // 2
    processes: dict[str, Child] = {}
    try:
        for name in ("one", "two"):
            processes[name] = worker(cluster, group, tmp_path, instance=name, static=static, apps=["shop"])
        await asyncio.to_thread(cluster.produce, made.requests[:half] + added.requests)
        await until(lambda: admitted(cluster) >= before + PEOPLE, 60)
        for name in ("one", "two"):
            assert await asyncio.to_thread(processes[name].stop) == 0, processes[name].output()
            processes[name] = worker(cluster, group, tmp_path, instance=name, static=static)
            await asyncio.to_thread(cluster.produce, made.requests[half:] if name == "one" else added.requests)
        made.message_ids |= added.message_ids
        await until_decided(cluster, made.message_ids)
        for topic in (SHOP, request_topic("swiss")):
            await until_committed(cluster, group, topic)
    finally:
        codes = {name: await asyncio.to_thread(process.stop) for name, process in processes.items()}
    assert set(codes.values()) == {0}, codes
    check(cluster, made)
