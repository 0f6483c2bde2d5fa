"""What measurements of paced lanes share: a broker with one partition per lane, a twin that knows the senders, and our
dispatch as a process whose time and memory are told."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bench.dispatch_ours import ACCOUNT_SID, TOKEN, address
from schemas.codec import SingleObjectCodec
from schemas.records import Channel, Dispatch, DoubtPolicy, Encoding, MessageClass
from schemas.topics import PartitionCounts, catalogue, dispatch_topic
from tests.support.brokers import start_own_broker
from tests.support.kafka import Kafka, Outgoing
from tests.support.processes import Child
from twin.settings import AccountSettings, FaultSettings, SenderSettings, TwinSettings

ROOT = Path(__file__).parents[1]
_CODEC = SingleObjectCodec()
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
DAY_MS = 24 * 3600 * 1000


@contextmanager
def broker_with(partitions: int) -> Iterator[Kafka]:
    """A broker of its own with the topics of an installation."""
    broker = start_own_broker()
    try:
        kafka = Kafka(broker.bootstrap)
        counts = PartitionCounts(recipient=4, dispatch=partitions, lifecycle=4, dead=1)
        kafka.create_topics({topic.name: counts.of(topic.count) for topic in catalogue(["shop"])})
        yield kafka
    finally:
        broker.close()


def twin_with(rates: Mapping[str, float], faults: FaultSettings | None = None) -> TwinSettings:
    """A twin that has the senders of these lanes."""
    return TwinSettings(
        accounts=(AccountSettings(sid=ACCOUNT_SID, auth_token=TOKEN),),
        senders=tuple(SenderSettings(address=address(number), rate=rate) for number, rate in enumerate(rates.values())),
        faults=faults or FaultSettings(),
    )


def texts(
    rates: Mapping[str, float], lane: str, message_class: MessageClass, numbers: Iterable[int], *, late_ms: int = 0
) -> Iterator[Outgoing]:
    """A message of one segment for each number, all of one app; due in a day and `late_ms`."""
    at = list(rates).index(lane)
    for number in numbers:
        # Now, when it is written: one that is written long after its decision is looked up in the attempts log.
        now_ms = time.time_ns() // 1_000_000
        order = Dispatch(
            message_id=f"{message_class.value}-{lane}-{number}",
            round=0,
            app="shop",
            recipient=f"+1{4_150_000_000 + at * 10_000_000 + number}",
            channel=Channel.SMS,
            category="any",
            message_class=message_class,
            account="main",
            lane=lane,
            group=lane,
            sender=address(at),
            body=f"{message_class.value} {number}",
            segments=1,
            encoding=Encoding.GSM7,
            requested_at=now_ms,
            decided_at=now_ms,
            deadline=now_ms + DAY_MS + late_ms,
            doubt_policy=DoubtPolicy.RESEND,
            rule_version="bench",
        )
        yield Outgoing(dispatch_topic(message_class), _CODEC.encode(order), order.message_id.encode(), at)


class Process:
    """Our dispatch, serving lanes with these rates (segments per second, by name), each in a partition of its own."""

    def __init__(self, kafka: Kafka, twin_url: str, rates: Mapping[str, float], folder: Path) -> None:
        group = kafka.unique("dispatch")
        command = [sys.executable, "-m", "bench.dispatch_ours", kafka.bootstrap, group, twin_url, str(folder / group)]
        self.child = Child(group, [*command, json.dumps(rates)], log=folder / f"{group}.log", cwd=ROOT)

    def cpu_s(self) -> float:
        """Processor time used so far."""
        fields = Path(f"/proc/{self.child.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def rss_mb(self) -> float:
        """Memory in use."""
        return int(Path(f"/proc/{self.child.pid}/statm").read_text().split()[1]) * _PAGE / 1e6

    def stop(self) -> None:
        """End it. Raises AssertionError when it ended by itself before."""
        assert self.child.returncode is None, self.child.output()
        self.child.stop()


def percentile(values: Iterable[float], share: float) -> float:
    """The value that so large a share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
