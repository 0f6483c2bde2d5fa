"""A STOP against a message at every station between policy and Twilio: none is POSTed later than a second after Kafka
has the STOP. Those in a lane's queue, between two attempts and with a stale tail are in
tests/streams/dispatch/test_stops.py."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from connectors.twilio.messages import Messages
from schemas.reasons import Reason
from schemas.records import (
    Channel,
    Consent,
    ConsentChange,
    ConsentScope,
    ConsentSource,
    Content,
    Deferral,
    Dispatch,
    LifecycleEvent,
    MessageStatus,
    Stage,
)
from schemas.topics import CONSENT, LIFECYCLE, deferral_topic
from streams.dispatch.changes import FRESH_S
from streams.dispatch.lanes import Group, Lane, LaneTable
from streams.dispatch.stage import DispatchStage
from streams.policy.config import PolicyConfig, SenderType
from streams.policy.stage import PolicyStage
from tests.streams.cluster import CODEC, COUNTS, own_cluster
from tests.streams.dispatch.cluster import ADDRESSES, RATES, dispatch, twin_settings
from tests.streams.policy.cluster import ask, found, ours, person, policy, wall_ms
from tests.streams.policy.installation import config, sender
from tests.support.kafka import Kafka, Outgoing
from tests.support.waiting import until
from twin.server import Twin
from twin.settings import ContentSettings, SenderSettings

WHATSAPP = "+15005551004"
TEMPLATE = "HX" + "a" * 32
LANES = {"fast": 0, "slow": 2, "wa": 3}
"""Partition by lane."""
FAST: dict[str, Any] = {"app": "shop", "category": "service", "sender": "fast"}
SLOW: dict[str, Any] = {"app": "shop", "category": "service", "sender": "slow"}


def policys_side() -> PolicyConfig:
    senders = {
        # Of one weight, so that a pool of both sends people to both.
        name: sender(name, LANES[name], address=ADDRESSES[name], rate=1.0, channels=frozenset({Channel.SMS}))
        for name in ("fast", "slow")
    }
    senders["wa"] = sender(
        "wa", LANES["wa"], address=WHATSAPP, type=SenderType.WHATSAPP, channels=frozenset({Channel.WHATSAPP}), rate=80.0
    )
    plain = config()
    shop = replace(plain.apps["shop"], senders=tuple(senders))
    return config(
        apps={**plain.apps, "shop": shop}, senders=senders, pools={"codes": ("fast",), "campaigns": ("fast", "slow")}
    )


def dispatchs_side() -> LaneTable:
    lanes = [Lane(name, "main", ADDRESSES[name], RATES[name]) for name in ("fast", "slow")]
    lanes.append(Lane("wa", "main", WHATSAPP, 80.0, channels=(Channel.WHATSAPP,)))
    return LaneTable.of(lanes, [Group(*each) for each in LANES.items()], partitions=COUNTS.dispatch)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Kafka]:
    with own_cluster(config().apps) as kafka:
        yield kafka


@dataclass
class Chain:
    """Policy and dispatch of one installation, which come and go as a test says.

    Attributes:
        begun: (number of the person, channel, epoch seconds) of each POST whose writing began.
        acknowledged: epoch seconds at which Kafka had acknowledged a person's STOP.
    """

    kafka: Kafka
    folder: Path
    twin: Twin
    name: str
    begun: list[tuple[str, Channel, float]] = field(default_factory=list)
    acknowledged: dict[str, float] = field(default_factory=dict)

    @asynccontextmanager
    async def policy(self) -> AsyncIterator[PolicyStage]:
        async with policy(
            self.kafka, self.folder / "policy", group=f"{self.name}-policy", configured=policys_side()
        ) as stage:
            yield stage

    @asynccontextmanager
    async def dispatch(self, folder: str = "dispatch") -> AsyncIterator[DispatchStage]:
        async with dispatch(
            self.kafka, self.folder / folder, group=self.name, twin_url=self.twin.url, table=dispatchs_side()
        ) as stage:
            yield stage

    async def produce(self, *made: Outgoing) -> None:
        await asyncio.to_thread(self.kafka.produce, made)

    async def stop(self, *numbers: int, to: str | None = None) -> None:
        """These people write STOP, to that sender or to everything."""
        await self.produce(*(stop(number, to) for number in numbers))
        self.acknowledged |= dict.fromkeys(map(person, numbers), time.time())

    async def told(
        self, numbers: list[int], count: int = 1, wanted: MessageStatus | None = None
    ) -> list[LifecycleEvent]:
        """What was told of these people, once there are so many of each."""
        who = ours(*numbers)

        def of_them(event: LifecycleEvent) -> bool:
            return who(event) and (wanted is None or event.status is wanted)

        return await found(self.kafka, LIFECYCLE, LifecycleEvent, of_them, count * len(numbers))

    async def until_denied(self, numbers: list[int]) -> None:
        denied = await self.told(numbers, wanted=MessageStatus.DENIED)
        assert {event.reason for event in denied} == {Reason.OPTED_OUT}

    def sent_to(self, numbers: list[int]) -> set[str]:
        return {recipient for recipient, _, _ in self.begun} & set(map(person, numbers))

    def late(self) -> dict[str, float]:
        """Seconds from the acknowledgement of a person's STOP to a POST that was begun too late."""
        waits = [(each, at - self.acknowledged[each]) for each, _, at in self.begun if each in self.acknowledged]
        return {each: wait_s for each, wait_s in waits if wait_s > FRESH_S}


@pytest.fixture
async def chain(cluster: Kafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Chain]:
    plain = twin_settings()
    more = {
        "senders": (*plain.senders, SenderSettings(address=f"whatsapp:{WHATSAPP}", type="whatsapp")),
        "contents": (ContentSettings(sid=TEMPLATE, body="Your order has shipped"),),
    }
    async with Twin(plain.model_copy(update=more)) as twin:
        made = Chain(cluster, tmp_path, twin, cluster.unique("stops"))
        create = Messages.create

        async def noting(
            self: Messages, account: Any, order: Dispatch, *, turn: Callable[[], float | None], **more: Any
        ) -> Any:
            def noted() -> float | None:
                wait_s = turn()
                if wait_s == 0:  # the first byte leaves now
                    made.begun.append((order.recipient, order.channel, time.time()))
                return wait_s

            return await create(self, account, order, turn=noted, **more)

        monkeypatch.setattr(Messages, "create", noting)
        yield made


def stop(number: int, to: str | None = None) -> Outgoing:
    record = Consent(
        consent_id=f"stop-{number}",
        recipient=person(number),
        change=ConsentChange.OPT_OUT,
        scope=ConsentScope.ALL if to is None else ConsentScope.SENDER,
        scope_value=None if to is None else ADDRESSES[to],
        source=ConsentSource.KEYWORD,
        at=wall_ms(),
    )
    return Outgoing(CONSENT, CODEC.encode(record), record.recipient.encode())


def people(first: int, count: int) -> list[int]:
    return list(range(first, first + count))


async def test_just_admitted_or_waiting_with_policy_or_dispatch_down(chain: Chain) -> None:
    admitted, willing = people(7000, 10), people(7020, 3)
    scheduled, patient = people(7040, 5), people(7060, 2)
    async with chain.policy():
        due_at = wall_ms() + 2_000
        await chain.produce(*(ask(n, **FAST) for n in (*admitted, *willing)))
        await chain.produce(*(ask(n, not_before=due_at, **FAST) for n in (*scheduled, *patient)))
        await chain.told([*admitted, *willing, *scheduled, *patient])
    await chain.stop(*admitted, *scheduled)  # nobody is there to hear it
    async with chain.dispatch():
        await chain.until_denied(admitted)
        await until(lambda: chain.sent_to(willing) == set(map(person, willing)))
        async with chain.policy():  # the wheel's are due by now: consent is read before they are asked about
            await chain.until_denied(scheduled)
            await chain.told(patient, wanted=MessageStatus.ACCEPTED)
    assert chain.sent_to([*admitted, *scheduled]) == set()
    assert chain.late() == {}


async def test_with_policy_down_what_is_queued_waits_for_nobody_to_be_stopped(chain: Chain) -> None:
    queued = people(7100, 12)
    async with chain.policy():
        await chain.produce(*(ask(n, **SLOW) for n in queued))
        await chain.told(queued)
    async with chain.dispatch():
        await until(lambda: len(chain.begun) >= 2)
        await chain.stop(*queued)
        sent = await chain.told(queued, 2)
    assert {event.status for event in sent} == {MessageStatus.ADMITTED, MessageStatus.ACCEPTED, MessageStatus.DENIED}
    assert chain.late() == {}
    assert len(chain.sent_to(queued)) < len(queued)


async def test_in_the_lane_of_another_number_of_the_pool_than_the_one_that_was_stopped(chain: Chain) -> None:
    """Its own lane hears nothing of that STOP; who can be reached by no other number than this one is not concerned."""
    pooled, named = people(7500, 16), people(7520, 3)
    async with chain.policy():
        await chain.produce(*(ask(n, app="shop", category="service", pool="campaigns") for n in pooled))
        await chain.produce(*(ask(n, **SLOW) for n in named))
        admitted = await chain.told([*pooled, *named])
        in_slow = {event.recipient for event in admitted if event.lane == "slow"}
        waiting = [n for n in pooled if person(n) in in_slow]
        assert 3 <= len(waiting) <= 13
        await chain.stop(*waiting, to="fast")
        await chain.produce(*(stop(n, to="fast") for n in named))
        async with chain.dispatch():
            await chain.until_denied(waiting)
            await until(lambda: chain.sent_to(named) == _of(named))
    assert chain.sent_to(waiting) == set()


async def test_on_the_wheel_until_the_last_moment_and_between_two_channels(chain: Chain) -> None:
    on_the_wheel, falling_back, willing = people(7200, 12), people(7220, 4), people(7230, 2)
    words = Content(content_sid=TEMPLATE)
    whatsapp: dict[str, Any] = {"app": "shop", "category": "service", "channel": Channel.WHATSAPP, "content": words}
    async with chain.policy(), chain.dispatch():
        asked = [ask(n, fallback_channels=[Channel.SMS], **whatsapp) for n in (*falling_back, *willing)]
        await chain.produce(*asked)
        accepted = await chain.told([*falling_back, *willing], wanted=MessageStatus.ACCEPTED)
        # WhatsApp could not deliver: what feedback makes of its callbacks, and right behind that the STOP.
        due_at = wall_ms() + 2_500
        await chain.produce(*(failed(event, due_at) for event in accepted))
        await chain.stop(*falling_back)
        await chain.produce(*(ask(n, not_before=due_at, **FAST) for n in on_the_wheel))
        for number in on_the_wheel:  # from long before to right after their moment
            await chain.stop(number)
            await asyncio.sleep(0.25)
        await chain.until_denied(falling_back)
        await until(lambda: sum(channel is Channel.SMS for who, channel, _ in chain.begun if who in _of(willing)) == 2)
        await chain.told(on_the_wheel, 2)
    second = [who for who, channel, _ in chain.begun if who in _of(falling_back) and channel is Channel.SMS]
    assert second == [], "the fallback was sent behind the STOP"
    assert chain.late() == {}


def failed(accepted: LifecycleEvent, due_at: int) -> Outgoing:
    """What feedback puts on the wheel when a message could not be delivered on its channel."""
    assert accepted.recipient is not None
    deferral = Deferral(
        message_id=accepted.message_id,
        round=1,
        app="shop",
        due_at=due_at,
        reason=Reason.CHANNEL_FAILED,
        by=Stage.FEEDBACK,
        at=wall_ms(),
    )
    return Outgoing(deferral_topic("1s"), CODEC.encode(deferral), accepted.recipient.encode())


def _of(numbers: list[int]) -> set[str]:
    return set(map(person, numbers))


async def test_while_partitions_change_hands(chain: Chain) -> None:
    queued = people(7300, 24)
    async with chain.policy():
        await chain.produce(*(ask(n, **SLOW) for n in queued))
        await chain.told(queued)
    async with chain.dispatch() as first:
        await until(lambda: len(chain.begun) >= 2)
        generation = first._app.consumer.generation
        async with chain.dispatch("second"):
            await until(lambda: first._app.consumer.generation != generation)
            await chain.stop(*queued)
            await chain.told(queued, 2)
    assert chain.late() == {}
    assert 2 <= len(chain.sent_to(queued)) < len(queued)
