"""A dispatch stage on a real broker, sending to a twin: what tests of the whole stage share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from prometheus_client import CollectorRegistry

from connectors.kafka.app import create_app
from connectors.kafka.publisher import DurablePublisher
from connectors.twilio.account import Account
from connectors.twilio.http import HttpSettings
from schemas.records import Dispatch, LifecycleEvent, MessageClass
from schemas.topics import DISPATCH_ANCHOR, LIFECYCLE, dispatch_topic
from streams.dispatch.lanes import Group, Lane, LaneTable
from streams.dispatch.stage import DispatchStage
from streams.dispatch.stage_settings import DispatchSettings
from tests.streams.cluster import CODEC, COUNTS, records
from tests.support.kafka import Kafka, Outgoing
from tests.support.stage import quick_settings, running
from twin.settings import AccountSettings, FaultSettings, OutcomeSettings, SenderSettings, TwinSettings

ACCOUNT_SID = "AC" + "7" * 32
TOKEN = "twin-primary-token"
WAIT_S = 60.0
QUICK_HTTP = HttpSettings(total_timeout_s=1.5, connect_timeout_s=1.0)

ADDRESSES = {"fast": "+15005551001", "second": "+15005551002", "slow": "+15005551003"}
RATES = {"fast": 2000.0, "second": 200.0, "slow": 2.0}


def lanes(partitions: Mapping[str, int] | None = None) -> LaneTable:
    """Three lanes of different rate, each in a partition of its own."""
    chosen = partitions or {"fast": 0, "second": 1, "slow": 2}
    return LaneTable.of(
        [Lane(name, "main", ADDRESSES[name], RATES[name]) for name in ADDRESSES],
        [Group(name, partition) for name, partition in chosen.items()],
        partitions=COUNTS.dispatch,
    )


def fleet_address(number: int) -> str:
    """The sender of the lane of this number in a fleet."""
    return f"+1500556{number:04d}"


def fleet(rates: Mapping[str, float], partitions: int = COUNTS.dispatch) -> LaneTable:
    """Lanes with these rates, one group each, dealt out to the partitions."""
    return LaneTable.of(
        [Lane(name, "main", fleet_address(number), rate) for number, (name, rate) in enumerate(rates.items())],
        [Group(name, number % partitions) for number, name in enumerate(rates)],
        partitions=partitions,
    )


def fleet_twin(
    rates: Mapping[str, float],
    *,
    faults: FaultSettings | None = None,
    concurrency: int | None = None,
    tight: Mapping[str, SenderSettings] | None = None,
) -> TwinSettings:
    """A twin that has the senders of a fleet.

    Args:
        tight: by lane, senders that are set otherwise than the fleet believes.
    """
    senders = [
        (tight or {}).get(name, SenderSettings(address=fleet_address(number), rate=rate))
        for number, (name, rate) in enumerate(rates.items())
    ]
    return TwinSettings(
        accounts=(AccountSettings(sid=ACCOUNT_SID, auth_token=TOKEN, concurrency=concurrency),),
        senders=tuple(senders),
        faults=faults or FaultSettings(),
    )


def twin_settings(
    *, concurrency: int | None = None, faults: FaultSettings | None = None, outcomes: OutcomeSettings | None = None
) -> TwinSettings:
    return TwinSettings(
        accounts=(AccountSettings(sid=ACCOUNT_SID, auth_token=TOKEN, concurrency=concurrency),),
        senders=tuple(SenderSettings(address=ADDRESSES[name], rate=RATES[name]) for name in ADDRESSES),
        faults=faults or FaultSettings(),
        outcomes=outcomes or OutcomeSettings(),
    )


def account(twin_url: str, token: str = TOKEN) -> Account:
    return Account("main", ACCOUNT_SID, ACCOUNT_SID, token, base_url=twin_url)


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def dispatch(
    kafka: Kafka,
    datadir: Path,
    *,
    group: str,
    twin_url: str,
    table: LaneTable | None = None,
    token: str = TOKEN,
    settings: Mapping[str, Any] | None = None,
    make_publisher: type[DurablePublisher] = DurablePublisher,
    instance_id: str | None = None,
    times: Mapping[str, float] | None = None,
) -> AsyncIterator[DispatchStage]:
    """A stage in the test's own loop.

    Args:
        instance_id: of a static member.
        times: of Kafka's settings, where they are not to be quick.
    """
    kafka_settings = quick_settings(kafka.bootstrap, **(times or {}))
    publisher = make_publisher(kafka_settings, name=f"dispatch-{group}")
    await publisher.start()
    stage = DispatchStage(
        table or lanes(),
        accounts={"main": account(twin_url, token)},
        kafka=kafka_settings,
        codec=CODEC,
        publisher=publisher,
        settings=DispatchSettings(
            public_url=None,
            **({"settle_s": 2.0, "http": QUICK_HTTP, **(settings or {})}),
        ),
        now_ms=wall_ms,
        registry=CollectorRegistry(),
    )
    app = create_app(
        kafka_settings,
        group=group,
        anchor=DISPATCH_ANCHOR,
        window=stage.window,
        instance_id=instance_id,
        datadir=datadir,
    )
    stage.register(app)
    await stage.start()
    try:
        async with running(app):
            yield stage
    finally:
        await stage.stop()
        await publisher.stop()


def fresh_group(kafka: Kafka) -> str:
    """A group that has nothing to do yet: what other tests wrote is behind it."""
    group = kafka.unique("dispatch")
    ends = [
        TopicPartition(dispatch_topic(message_class), partition, end)
        for message_class in MessageClass
        for partition, end in kafka.end_offsets(dispatch_topic(message_class)).items()
    ]
    consumer = Consumer({**kafka.config, "group.id": group})
    try:
        _commit(consumer, ends)
    finally:
        consumer.close()
    return group


def _commit(consumer: Consumer, ends: list[TopicPartition]) -> None:
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            consumer.commit(offsets=ends, asynchronous=False)
            return
        except KafkaException as error:
            # The first group of a fresh broker finds its coordinator loading.
            code = error.args[0].code()
            loading = code in (KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.NOT_COORDINATOR)
            if not loading or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def outgoing(order: Dispatch, partition: int) -> Outgoing:
    return Outgoing(
        dispatch_topic(order.message_class), CODEC.encode(order), order.message_id.encode(), partition=partition
    )


def endings(kafka: Kafka, ids: Iterable[str]) -> dict[str, list[LifecycleEvent]]:
    """What was told of these messages, by id."""
    wanted = set(ids)
    told: dict[str, list[LifecycleEvent]] = {}
    for record in records(kafka, LIFECYCLE):
        if isinstance(record, LifecycleEvent) and record.message_id in wanted:
            told.setdefault(record.message_id, []).append(record)
    return told


async def until_ended(kafka: Kafka, ids: Iterable[str], timeout_s: float = WAIT_S) -> dict[str, list[LifecycleEvent]]:
    """The same, once each of them has ended."""
    wanted = set(ids)
    deadline = time.monotonic() + timeout_s
    while True:
        told = await asyncio.to_thread(endings, kafka, wanted)
        if wanted <= told.keys():
            return told
        missing = wanted - told.keys()
        assert time.monotonic() < deadline, f"{len(missing)} of {len(wanted)} have not ended: {sorted(missing)[:5]}"
        await asyncio.sleep(0.1)


async def until_committed(kafka: Kafka, group: str, timeout_s: float = WAIT_S) -> None:
    """Wait until the group has committed everything in the class topics."""

    def open_offsets() -> dict[tuple[str, int], tuple[int, int | None]]:
        found = {}
        for message_class in MessageClass:
            topic = dispatch_topic(message_class)
            committed = kafka.committed(group, topic)
            for partition, end in kafka.end_offsets(topic).items():
                if end and committed.get(partition) != end:
                    found[topic, partition] = (end, committed.get(partition))
        return found

    deadline = time.monotonic() + timeout_s
    while left := await asyncio.to_thread(open_offsets):
        assert time.monotonic() < deadline, f"not committed: {left}"
        await asyncio.sleep(0.1)


def unstarted_stage() -> DispatchStage:
    """One without a broker, for what it does by itself."""
    kafka = quick_settings("127.0.0.1:1")
    return DispatchStage(
        lanes(),
        accounts={"main": account("http://127.0.0.1:1")},
        kafka=kafka,
        codec=CODEC,
        publisher=DurablePublisher(kafka, name="never started"),
        settings=DispatchSettings(public_url=None),
        now_ms=wall_ms,
        registry=CollectorRegistry(),
    )
