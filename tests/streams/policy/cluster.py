"""A policy stage on a real broker, and requests to it: what tests of the whole stage share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from connectors.kafka.app import create_app
from connectors.kafka.partitioning import partition_of
from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.state import PartitionStates
from schemas.records import Consent, ConsentChange, ConsentScope, ConsentSource, MessageClass, Record
from schemas.topics import CONSENT, POLICY_ANCHOR, POLICY_STATE, dispatch_topic, request_topic
from streams.policy.config import PolicyConfig
from streams.policy.intake_windows import windows
from streams.policy.stage import CustomerData, PolicyStage
from tests.streams.cluster import CODEC, COUNTS, WAIT_S, records
from tests.streams.policy.installation import config, request
from tests.support.kafka import Kafka, Outgoing
from tests.support.stage import quick_settings, running

R = TypeVar("R", bound=Record)


def wall_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def policy(
    kafka: Kafka,
    datadir: Path,
    *,
    group: str,
    configured: PolicyConfig | None = None,
    topics: Mapping[str, int] | None = None,
    customer_data: CustomerData | None = None,
) -> AsyncIterator[PolicyStage]:
    settings = quick_settings(kafka.bootstrap)
    publisher = DurablePublisher(settings, name=f"policy-{group}")
    await publisher.start()
    await publisher.warm()
    stage = PolicyStage(
        configured or config(),
        codec=CODEC,
        publisher=publisher,
        kafka=settings,
        states=PartitionStates(POLICY_STATE, settings, publisher, directory=datadir / "state"),
        partitions=COUNTS.recipient,
        now_ms=wall_ms,
        customer_data=customer_data,
    )
    app = create_app(
        settings,
        group=group,
        anchor=POLICY_ANCHOR,
        window=windows(len((configured or config()).apps), COUNTS.recipient),
        datadir=datadir,
    )
    stage.register(app)
    stage.read_strangers(topics or {})
    await stage.start()
    try:
        async with running(app):
            yield stage
    finally:
        await stage.stop()
        await publisher.stop()


def person(number: int) -> str:
    return f"+41791{number:06d}"


def neighbours(first: int, count: int) -> list[int]:
    """So many people, from this number on, who are all in one partition."""
    home = partition_of(person(first).encode(), COUNTS.recipient)
    there = (n for n in range(first, first + 1_000) if partition_of(person(n).encode(), COUNTS.recipient) == home)
    return list(islice(there, count))


def ask(number: int, *, app: str = "login", urgent: bool = False, key: bytes | None = b"", **changes: Any) -> Outgoing:
    """A request of the app to person `number`; with the person as its key unless told otherwise."""
    asked = request(**{"recipient": person(number), "created_at": wall_ms(), **changes})
    return Outgoing(
        request_topic(app, urgent=urgent), CODEC.encode(asked), asked.recipient.encode() if key == b"" else key
    )


async def found(kafka: Kafka, topic: str, kind: type[R], wanted: Callable[[R], bool], count: int) -> list[R]:
    """The records of this kind that are wanted, once there are so many."""
    deadline = time.monotonic() + WAIT_S
    while True:
        read = await asyncio.to_thread(records, kafka, topic)
        matching = [record for record in read if isinstance(record, kind) and wanted(record)]
        if len(matching) >= count:
            return matching
        assert time.monotonic() < deadline, f"{len(matching)} of {count} on {topic}"
        await asyncio.sleep(0.1)


OTP = dispatch_topic(MessageClass.CRITICAL)


def ours(*numbers: int) -> Callable[[Any], bool]:
    """Whether a record is about one of these people. Every test has people of its own."""
    people = {person(number) for number in numbers}
    return lambda record: record.recipient in people


def opt(number: int, change: ConsentChange, at: int) -> Outgoing:
    """A person's change of consent to everything."""
    record = Consent(
        consent_id=f"{number}-{at}",
        recipient=person(number),
        change=change,
        scope=ConsentScope.ALL,
        source=ConsentSource.KEYWORD,
        at=at,
    )
    return Outgoing(CONSENT, CODEC.encode(record), record.recipient.encode())
