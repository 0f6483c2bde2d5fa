"""What policy does with an assignment before records flow."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from connectors.kafka.settings import KafkaSettings
from connectors.kafka.state import PartitionStates
from connectors.kafka.topic_partition import TP
from schemas.codec import SingleObjectCodec
from schemas.topics import CONSENT, POLICY_ANCHOR, POLICY_STATE, request_topic
from streams.policy.stage import PolicyStage
from tests.streams.policy.installation import NOW, config
from tests.support.published import RecordingPublisher


async def test_requests_without_the_consent_of_their_partition_wait(tmp_path: Path) -> None:
    """As may be for a moment while a new version with other topics rolls out."""
    kafka, publisher = KafkaSettings(bootstrap=("127.0.0.1:1",)), RecordingPublisher()
    states = PartitionStates(POLICY_STATE, kafka, publisher, directory=tmp_path)
    opened: list[int] = []

    async def opens(home: int) -> None:
        opened.append(home)

    async def ends(partitions: Collection[TP]) -> dict[TP, int]:
        return dict.fromkeys(partitions, 0)

    async def finished_to(tp: TP, end: int) -> bool:
        return tp == TP(CONSENT, 0)  # the only one that is served

    async def nothing(homes: object) -> None:
        return None

    stored: Any = states
    stored.open = opens
    stored.scan = lambda partition, prefix: iter(())
    stage = PolicyStage(
        config(),
        codec=SingleObjectCodec(),
        publisher=publisher,
        states=states,
        kafka=kafka,
        partitions=4,
        now_ms=lambda: NOW,
    )
    consumer = SimpleNamespace(ends=ends, finished_to=finished_to, generation=1)
    inside: Any = stage
    inside._app = SimpleNamespace(consumer=consumer, lease=SimpleNamespace(valid=lambda: True))
    inside._control._caught_up.set()
    inside._consent_log = SimpleNamespace(opened=nothing, read=nothing)
    here = [TP(POLICY_ANCHOR, 0), TP(POLICY_ANCHOR, 1), TP(CONSENT, 0)]
    await stage._on_assigned(frozenset(here), 1)
    await asyncio.sleep(0.3)
    assert sorted(opened) == [0, 1]

    def event(partition: int) -> Any:
        return SimpleNamespace(message=SimpleNamespace(topic=request_topic("login"), partition=partition))

    assert stage._doors.may_enter(0, event(0))
    assert not stage._doors.may_enter(1, event(1))
    assert stage._opening is not None
    stage._opening.cancel()
