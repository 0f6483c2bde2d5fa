"""Customer data that is slow, away or talks nonsense, with the whole stage on a real broker: a person whose lookup
hangs holds up nobody but themselves, and what needs no answer goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from connectors.profiles.segment import SegmentProfiles
from schemas.reasons import Reason
from schemas.records import Dispatch, LifecycleEvent, MessageClass, MessageStatus
from schemas.topics import LIFECYCLE, dispatch_topic, request_topic
from streams.policy import intake_windows
from streams.policy.config import EnrichmentMode, PolicyConfig
from streams.policy.enrichment import Enrichment, Identifier, Source
from streams.policy.profile_sources import TraitNames
from streams.policy.stage import PolicyStage
from tests.connectors.profiles.space import Behaviour, Space, answering, cut, hang
from tests.streams.cluster import own_cluster, until_committed
from tests.support.kafka import Kafka

from .cluster import OTP, ask, found, neighbours, ours, person, policy, wall_ms
from .installation import config

NAMES = TraitNames(time_zone="timezone")
SHOP: dict[str, Any] = {"app": "shop", "category": "service"}
NORMAL = dispatch_topic(MessageClass.NORMAL)
LOOKUP_S = 0.5
LONGER_THAN_THE_TEST_S = 300.0


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(config().apps) as kafka:
        yield kafka


def installation() -> PolicyConfig:
    """Codes go without an answer, a service message does not."""
    plain = config()
    modes = {"otp": EnrichmentMode.OPTIONAL, "service": EnrichmentMode.REQUIRED}
    changed = {name: replace(plain.categories[name], enrichment=mode) for name, mode in modes.items()}
    return replace(plain, categories={**plain.categories, **changed})


@asynccontextmanager
async def asking(kafka: Kafka, datadir: Path, group: str, space: Space, timeout_s: float) -> AsyncIterator[PolicyStage]:
    configured = installation()
    customer_data = Enrichment(
        configured,
        SegmentProfiles(space.settings(traits=NAMES.wanted, timeout_s=timeout_s)),
        identifiers=(Identifier(Source.RECIPIENT, "phone"),),
        names=NAMES,
        now_ms=wall_ms,
    )
    async with policy(kafka, datadir, group=group, configured=configured, customer_data=customer_data) as stage:
        yield stage


def known(*numbers: int) -> Space:
    return Space({f"phone:{person(number)}": {"timezone": "Europe/Zurich"} for number in numbers})


async def test_a_person_whose_lookup_hangs_holds_up_nobody_who_shares_their_partition(
    cluster: Kafka, tmp_path: Path
) -> None:
    slow, *others = neighbours(5000, 40)
    group, answer = cluster.unique("policy"), asyncio.Event()
    async with known(slow, *others) as space:

        async def answers_late(request: web.Request) -> web.StreamResponse:
            await answer.wait()
            return await space._answer(request)

        space.behaviours[f"phone:{person(slow)}"] = answers_late
        async with asking(cluster, tmp_path, group, space, LONGER_THAN_THE_TEST_S):
            asked = [ask(slow, correlation_id="first", **SHOP), ask(slow, correlation_id="second", **SHOP)]
            asked += [ask(number, **SHOP) for number in others for _ in range(40)]  # more than the window holds
            await asyncio.to_thread(cluster.produce, asked)
            await found(cluster, NORMAL, Dispatch, ours(*others), 40 * len(others))
            assert await found(cluster, LIFECYCLE, LifecycleEvent, ours(slow), 0) == []
            assert set(cluster.committed(group, request_topic("shop")).values()) <= {0}, "nobody passes it for good"
            answer.set()
            sent = await found(cluster, NORMAL, Dispatch, ours(slow), 2)
            await until_committed(cluster, group, request_topic("shop"))
    assert [each.correlation_id for each in sent] == ["first", "second"]


TROUBLES: dict[str, Behaviour] = {
    "down": cut,
    "slow": hang,
    "malformed": answering(200, b'{"traits": ['),
    "too many requests": answering(429, Retry_After="1"),
}


async def test_hundreds_of_messages_to_a_person_whose_lookup_hangs_do_not_fill_the_window_of_their_partition(
    cluster: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow, *others = neighbours(5500, 20)
    count = 80
    group, answer = cluster.unique("policy"), asyncio.Event()
    monkeypatch.setattr(intake_windows, "REQUESTS_HELD", 0)  # windows of 20, and 5 records of one person
    monkeypatch.setattr(intake_windows, "WHEEL_WINDOW", 50)
    async with known(slow, *others) as space:

        async def answers_late(request: web.Request) -> web.StreamResponse:
            await answer.wait()
            return await space._answer(request)

        space.behaviours[f"phone:{person(slow)}"] = answers_late
        async with asking(cluster, tmp_path, group, space, LONGER_THAN_THE_TEST_S):
            asked = [ask(slow, correlation_id=str(n), **SHOP) for n in range(count)]
            back = [ask(number, not_before=wall_ms() + 1_500, **SHOP) for number in others[:5]]
            await asyncio.to_thread(cluster.produce, asked + back + [ask(number, **SHOP) for number in others[5:]])
            # Through the requests, and through the wheel on which so many of that person's go round.
            await found(cluster, NORMAL, Dispatch, ours(*others), len(others))
            assert await found(cluster, LIFECYCLE, LifecycleEvent, ours(slow), 0) == []
            answer.set()
            sent = await found(cluster, NORMAL, Dispatch, ours(slow), count)
            await until_committed(cluster, group, request_topic("shop"))
    assert len({each.message_id for each in sent}) == len(sent) == count
    assert [each.correlation_id for each in sent[:5]] == ["0", "1", "2", "3", "4"]


async def test_while_customer_data_is_down_slow_malformed_or_refuses_codes_go_and_what_needs_it_waits_and_is_sent(
    cluster: Kafka, tmp_path: Path
) -> None:
    group, size = cluster.unique("policy"), 8
    crowds = {name: range(6000 + 20 * step, 6000 + 20 * step + size) for step, name in enumerate(TROUBLES)}
    everybody = [number for crowd in crowds.values() for number in crowd]
    async with known(*everybody) as space, asking(cluster, tmp_path, group, space, LOOKUP_S):
        for name, crowd in crowds.items():
            space.behaviour = TROUBLES[name]
            await asyncio.to_thread(cluster.produce, [ask(n, **SHOP) for n in crowd] + [ask(n) for n in crowd])
            await found(cluster, OTP, Dispatch, ours(*crowd), size)
            told = await found(cluster, LIFECYCLE, LifecycleEvent, ours(*crowd), 2 * size)
            waiting = [event.reason for event in told if event.status is MessageStatus.DEFERRED]
            assert waiting == [Reason.PROFILE_UNAVAILABLE] * size, name
        space.behaviour = None
        # Those who waited for the last trouble: the others wait longer with each time they asked in vain.
        sent = await found(cluster, NORMAL, Dispatch, ours(*crowd), size)
        await until_committed(cluster, group, request_topic("shop"))
    assert {each.recipient for each in sent} == {person(number) for number in crowd}
    assert len(sent) == size, "each once"
    assert all(each.round >= 1 for each in sent)
