"""How fast one policy process works off a backlog on a real Kafka, as a process of its own.

    python -m bench.policy [requests]

Measured from the first admission to the last, by the ends of the dispatch topics; start-up is not in it. CPU and
memory are the process's own at the end.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import yaml

from schemas.codec import SingleObjectCodec
from schemas.records import Content, MessageClass, MessageRequest
from schemas.topics import PartitionCounts, catalogue, dispatch_topic, request_topic
from tests.support.brokers import start_own_broker
from tests.support.kafka import Kafka, Outgoing
from tests.support.processes import Child

REQUESTS = 30_000
COUNTS = PartitionCounts(recipient=16, dispatch=64, lifecycle=16, dead=4)
PARTITION = 0
GIVE_UP_AFTER_S = 120.0
POLL_S = 0.25
"""The question costs the broker CPU that policy then waits for."""
ROOT = Path(__file__).parents[1]


def configuration(kafka: Kafka, folder: Path) -> dict[str, object]:
    """One app with one sender; Twilio is never called."""
    return {
        "kafka": {"bootstrap": [kafka.bootstrap], "replication": 1, "session_timeout_s": 6, "request_timeout_s": 2},
        "bridge": {"public_url": "http://127.0.0.1:1", "listen": "127.0.0.1:1"},
        "accounts": {"main": {"sid": "AC" + "0" * 32, "auth_token": {"env": "BENCH_TOKEN"}}},
        "senders": {
            "main": {"account": "main", "address": "+18005550199", "type": "toll_free", "rate": 100, "partition": 0}
        },
        "pools": {"all": ["main"]},
        "categories": {
            "service": {"class": "normal", "doubt": "resend", "quiet_hours": "exempt"},
            "otp": {"class": "critical", "doubt": "resend"},
        },
        "apps": {"shop": {"categories": ["service"], "pool": "all"}},
        "countries": {"allow": ["US"]},
        "health": {"policy": 0, "dispatch": 0, "feedback": 0},
        "data_dir": str(folder / "data"),
    }


def fill(kafka: Kafka, requests: int) -> None:
    """A backlog of requests to as many people."""
    codec = SingleObjectCodec()
    now_ms = int(time.time() * 1000)

    def one(number: int) -> Outgoing:
        recipient = f"+1415{2_000_000 + number:07d}"
        request = MessageRequest(
            recipient=recipient,
            category="service",
            content=Content(body=f"Your order {number} leaves today. Track it: shop.example/t/{number}"),
            idempotency_key=f"order-{number}",
            created_at=now_ms,
        )
        return Outgoing(request_topic("shop"), codec.encode(request), recipient.encode())

    kafka.produce(one(number) for number in range(requests))


def admitted(kafka: Kafka) -> int:
    """Records in the dispatch topic of the only class, in the partition of the only sender."""
    return kafka.end_offsets(dispatch_topic(MessageClass.NORMAL))[PARTITION]


def main(requests: int) -> None:
    broker = start_own_broker()
    try:
        kafka = Kafka(broker.bootstrap)
        kafka.create_topics({topic.name: COUNTS.of(topic.count) for topic in catalogue(["shop"])})
        fill(kafka, requests)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            file = folder / "commlayer.yaml"
            file.write_text(yaml.safe_dump(configuration(kafka, folder)))
            policy = Child(
                "policy",
                [sys.executable, "-m", "commlayer", "--config", str(file), "run", "policy"],
                log=folder / "policy.log",
                cwd=ROOT,
                env={**os.environ, "BENCH_TOKEN": "none"},
            )
            try:
                measure(kafka, policy, requests)
            finally:
                policy.stop()
    finally:
        broker.close()


def measure(kafka: Kafka, policy: Child, requests: int) -> None:
    """Print the rate from the first admission seen to the last."""
    give_up = time.monotonic() + GIVE_UP_AFTER_S
    first: tuple[float, int, float] | None = None
    while True:
        done, now = admitted(kafka), time.monotonic()
        if first is None and done:
            first = (now, done, cpu_s(policy.pid))
        if done >= requests:
            break
        if now > give_up or policy.returncode is not None:
            raise SystemExit(f"policy stands at {done} of {requests}:\n{policy.output()}")
        time.sleep(POLL_S)
    assert first is not None
    measured = done - first[1]
    rate = measured / (now - first[0])
    cpu_us = 1e6 * (cpu_s(policy.pid) - first[2]) / measured
    print(
        f"policy, {requests:,} requests: {rate:,.0f} decisions/s by the clock, {cpu_us:.0f} us CPU each "
        f"({1e6 / cpu_us:,.0f}/s on a core of its own), {memory_mb(policy.pid):.0f} MB"
    )


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else REQUESTS)
