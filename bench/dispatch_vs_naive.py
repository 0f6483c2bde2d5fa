"""Our dispatch, with everything it promises, against the loop that one would write without it: same broker, same
records, same HTTP server, in turns within one run.

    python -m bench.dispatch_vs_naive [--messages 20000] [--rounds 3] [--latency 0 50 150] [--tls]

A rate is that of the middle 80 % of the requests as the server saw them, so that start and end are not in it. Rounds
alternate; the table tells the median of each and their ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import TopicPartition

from bench.dispatch_ours import PARTITIONS
from bench.dispatch_sink import EVERY
from schemas.codec import SingleObjectCodec
from schemas.records import Channel, Dispatch, DoubtPolicy, Encoding, MessageClass
from schemas.topics import ATTEMPTS, PartitionCounts, catalogue, dispatch_topic
from tests.support.brokers import start_own_broker
from tests.support.kafka import Kafka, Outgoing
from tests.support.processes import Child, free_ports

ROOT = Path(__file__).parents[1]
TOPIC = dispatch_topic(MessageClass.NORMAL)
GIVE_UP_AFTER_S = 180.0


@dataclass
class Server:
    """A running sink."""

    url: str
    stats_url: str

    def seen(self) -> tuple[int, list[float]]:
        told = self._stats()
        return told["count"], told["times"]

    def senders(self) -> dict[str, tuple[int, list[float]]]:
        """The same of each From."""
        return {sender: (count, times) for sender, (count, times) in self._stats()["senders"].items()}

    def _stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.stats_url}/stats", timeout=10) as answer:
            told: dict[str, Any] = json.load(answer)
        return told

    def reset(self) -> None:
        urllib.request.urlopen(f"{self.stats_url}/reset", timeout=10).close()


@contextmanager
def sink(latency_ms: float, folder: Path, tls: Path | None) -> Iterator[Server]:
    [port] = free_ports(1)
    command = [sys.executable, "-m", "bench.dispatch_sink", str(port), str(latency_ms)]
    if tls is not None:
        command += [str(tls / "cert.pem"), str(tls / "key.pem")]
    child = Child("sink", command, log=folder / "sink.log", cwd=ROOT)
    scheme = "http" if tls is None else "https"
    server = Server(f"{scheme}://localhost:{port}", f"{scheme}://localhost:{port}")
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                server.reset()
                break
            except OSError:
                assert time.monotonic() < deadline, child.output()
                time.sleep(0.1)
        yield server
    finally:
        child.stop()


def fill(kafka: Kafka, messages: int) -> None:
    codec = SingleObjectCodec()

    def one(number: int) -> Outgoing:
        now_ms = time.time_ns() // 1_000_000
        order = Dispatch(
            message_id=f"00000000-0000-5000-8000-{number:012d}",
            round=0,
            app="shop",
            recipient=f"+1415{2_000_000 + number:07d}",
            channel=Channel.SMS,
            category="service",
            message_class=MessageClass.NORMAL,
            account="main",
            lane="main",
            group="main",
            sender="+15005550006",
            body=f"Your order {number} has shipped and arrives Tuesday. Track it: https://ex.am/{number}",
            segments=1,
            encoding=Encoding.GSM7,
            requested_at=now_ms,
            decided_at=now_ms,
            deadline=now_ms + 24 * 3600 * 1000,
            doubt_policy=DoubtPolicy.RESEND,
            rule_version="bench",
        )
        return Outgoing(TOPIC, codec.encode(order), order.message_id.encode(), 0)

    kafka.produce(one(number) for number in range(messages))


def rate_of(times: list[float]) -> float:
    """Requests per second over the middle 80 %."""
    first, last = len(times) // 10, len(times) - 1 - len(times) // 10
    return (last - first) * EVERY / (times[last] - times[first])


def measure(child: Child, server: Server, messages: int) -> tuple[float, float]:
    """(requests per second, CPU milliseconds per request) of a client that works off the backlog."""
    deadline = time.monotonic() + GIVE_UP_AFTER_S
    try:
        while (seen := server.seen())[0] < messages:
            assert child.returncode is None, child.output()
            assert time.monotonic() < deadline, f"{seen[0]} of {messages}: {child.output()}"
            time.sleep(0.2)
        return rate_of(seen[1]), 1000 * _cpu_s(child.pid) / messages
    finally:
        child.stop()
        server.reset()


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def certificate(folder: Path) -> Path:
    """A self-signed certificate that children trust by SSL_CERT_FILE."""
    subprocess.run(
        [
            shutil.which("openssl") or "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
            "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem"),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    os.environ["SSL_CERT_FILE"] = str(folder / "cert.pem")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, nargs="+", default=[0, 50, 150], help="of the server, milliseconds")
    parser.add_argument("--tls", action="store_true")
    asked = parser.parse_args()
    broker = start_own_broker()
    try:
        kafka = Kafka(broker.bootstrap)
        counts = PartitionCounts(recipient=4, dispatch=PARTITIONS, lifecycle=4, dead=1)
        kafka.create_topics({topic.name: counts.of(topic.count) for topic in catalogue(["shop"])})
        fill(kafka, asked.messages)
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            tls = certificate(folder) if asked.tls else None
            print(f"{platform.machine()}, {os.cpu_count()} CPUs, Python {platform.python_version()}, TLS: {asked.tls}")
            print(f"{asked.messages} messages, median of {asked.rounds} rounds in turns; load {os.getloadavg()[0]:.1f}")
            print("| server | naive/s | ours/s | ratio | naive ms CPU | ours ms CPU | rounds naive | rounds ours |")
            print("|---|---|---|---|---|---|---|---|")
            for latency_ms in asked.latency:
                with sink(latency_ms, folder, tls) as server:
                    report(kafka, server, folder, latency_ms, asked.messages, asked.rounds)
    finally:
        broker.close()


def report(kafka: Kafka, server: Server, folder: Path, latency_ms: float, messages: int, rounds: int) -> None:
    naive: list[tuple[float, float]] = []
    ours: list[tuple[float, float]] = []
    for _ in range(rounds):
        group = kafka.unique("naive")
        command = [sys.executable, "-m", "bench.dispatch_naive", kafka.bootstrap, TOPIC, group, server.url]
        naive.append(measure(Child("naive", command, log=folder / "naive.log", cwd=ROOT), server, messages))
        # Each round is a new group with an attempts log of its own making: what the others wrote is not its past.
        group = kafka.unique("ours")
        forget_attempts(kafka)
        command = [sys.executable, "-m", "bench.dispatch_ours", kafka.bootstrap, group, server.url, str(folder / group)]
        ours.append(measure(Child("ours", command, log=folder / "ours.log", cwd=ROOT), server, messages))
    naive_rate, ours_rate = (statistics.median(rate for rate, _ in each) for each in (naive, ours))
    naive_cpu, ours_cpu = (statistics.median(cpu for _, cpu in each) for each in (naive, ours))
    told = [" ".join(f"{rate:.0f}" for rate, _ in each) for each in (naive, ours)]
    print(
        f"| {latency_ms:g} ms | {naive_rate:,.0f} | {ours_rate:,.0f} | {ours_rate / naive_rate:.2f} "
        f"| {naive_cpu:.3f} | {ours_cpu:.3f} | {told[0]} | {told[1]} |",
        flush=True,
    )


def forget_attempts(kafka: Kafka) -> None:
    """Empty the attempts log, or our dispatch would rightly see that all is sent."""
    ends = kafka.end_offsets(ATTEMPTS)
    partitions = [TopicPartition(ATTEMPTS, partition, end) for partition, end in ends.items()]
    for done in kafka.admin.delete_records(partitions).values():
        done.result(30)


if __name__ == "__main__":
    main()
