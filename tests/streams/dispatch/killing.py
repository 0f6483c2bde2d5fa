"""Dispatch as processes that are killed, and what the twin's books and the logs say afterwards."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from schemas.records import Attempt, AttemptKind, Dispatch, MessageClass
from schemas.topics import ATTEMPTS
from tests.streams.cluster import CODEC, records
from tests.support.kafka import Kafka, Outgoing
from tests.support.processes import Child
from tests.support.waiting import until
from twin.server import Twin
from twin.settings import FaultSettings, RequestFault

from .cluster import ADDRESSES, lanes, outgoing, wall_ms
from .simulation import order

ROOT = Path(__file__).parents[3]


def worker(
    kafka: Kafka, /, group: str, twin: Twin, folder: Path, *, instance: str, static: bool = True, **more: Any
) -> Child:
    config = {
        "bootstrap": kafka.bootstrap,
        "group": group,
        "datadir": str(folder / instance),
        "twin": twin.url,
        "instance": instance if static else None,
        **more,
    }
    command = [sys.executable, "-m", "tests.streams.dispatch.worker", json.dumps(config)]
    return Child(f"dispatch {instance}", command, log=folder / f"{instance}.log", cwd=ROOT)


def orders(count: int, **fields: Any) -> list[Outgoing]:
    """Messages of all classes on two lanes; a fifth of them equal texts to a few people."""
    made = []
    for number in range(count):
        lane = "fast" if number % 3 else "second"
        few = number % 5 == 0
        each = order(
            lane=lane,
            message_class=list(MessageClass)[number % 4],
            app="xy"[number % 2],
            recipient=f"+1415556{number % 40 if few else number:04d}",
            body="the same text" if few else f"text {number}",
            deadline=wall_ms() + 600_000,
            **fields,
        )
        each.sender = ADDRESSES[lane]
        made.append(outgoing(each, lanes().partition_of(lane)))
    return made


TROUBLE = FaultSettings(
    requests=(
        RequestFault(kind="error_after", share=0.005),
        RequestFault(kind="reset_after", share=0.005),
        RequestFault(kind="error_before", share=0.005),
        RequestFault(kind="reset_before", share=0.005),
        RequestFault(kind="throttle", share=0.02),
        RequestFault(kind="latency", delay_s=(0.01, 0.06)),
    ),
    listing_lag_s=(0.0, 0.5),
)


def sent_of(twin: Twin) -> Counter[tuple[str, str]]:
    return Counter((message.to, message.submitted) for message in twin.books.outbound())


def posts_of(twin: Twin, callbacks: str) -> list[float]:
    """When the twin received each POST, accepted or not, whose status callback goes to this URL: how a worker that has
    one of its own is known."""
    accepted = [(message.received, message.status_callback or "") for message in twin.books.outbound()]
    refused = [(each.at, parse_qs(each.form.decode()).get("StatusCallback", [""])[0]) for each in twin.books.refusals]
    return sorted(at for at, url in accepted + refused if url.startswith(callbacks))


def wanted_of(made: list[Outgoing]) -> Counter[tuple[str, str]]:
    asked = (CODEC.decode(one.value or b"") for one in made)
    return Counter((each.recipient, each.body or "") for each in asked if isinstance(each, Dispatch))


def ids_of(made: Iterable[Outgoing]) -> list[str]:
    return [(each.key or b"").decode() for each in made]


async def run_until(accepted: int, twin: Twin, process: Child) -> None:
    """Kill the process when Twilio has accepted so many."""
    try:
        await until(lambda: len(twin.books.messages) >= accepted or process.returncode is not None, 90)
        assert process.returncode is None, process.output()
    finally:
        await asyncio.to_thread(process.kill)


def doubts(kafka: Kafka, ids: Iterable[str]) -> tuple[int, int]:
    """(resolved, open): attempts whose INTENT and RESULT are by different processes; attempts without RESULT."""
    wanted = set(ids)
    intents: dict[tuple[str, int, int], str] = {}
    results: defaultdict[tuple[str, int, int], set[str]] = defaultdict(set)
    for record in records(kafka, ATTEMPTS):
        if isinstance(record, Attempt) and record.message_id in wanted:
            key = (record.message_id, record.round, record.attempt)
            if record.kind is AttemptKind.INTENT:
                intents[key] = record.owner
            else:
                results[key].add(record.owner)
    resolved = sum(key in results and owner not in results[key] for key, owner in intents.items())
    return resolved, len(intents.keys() - results.keys())
