"""How fast one policy process works off a backlog on a real Kafka, as a process of its own.

    python -m bench.policy [requests] [--rules thin|all]

Measured from the first admission to the last, by the ends of the dispatch topic; start-up, and folding what is known of
people, is not in it. CPU and memory are the process's own at the end. What `thin` and `all` are: `policy_load`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import yaml

from bench.policy_load import APP, MESSAGE_CLASS, Rules, backlog, configuration, people
from schemas.topics import POLICY_STATE, PartitionCounts, catalogue, dispatch_topic
from tests.support.brokers import start_own_broker
from tests.support.kafka import Kafka
from tests.support.processes import Child

REQUESTS = 30_000
COUNTS = PartitionCounts(recipient=16, dispatch=64, lifecycle=16, dead=4)
GIVE_UP_AFTER_S = 120.0
POLL_S = 0.25
"""The question costs the broker CPU that policy then waits for."""
ROOT = Path(__file__).parents[1]


def main(requests: int, rules: Rules) -> None:
    broker = start_own_broker()
    try:
        kafka = Kafka(broker.bootstrap)
        kafka.create_topics({topic.name: COUNTS.of(topic.count) for topic in catalogue([APP])})
        with tempfile.TemporaryDirectory() as place, segment() as url:
            folder = Path(place)
            file = folder / "commlayer.yaml"
            file.write_text(yaml.safe_dump(configuration(rules, kafka, folder, url)))
            known = people(rules, requests)
            if known:  # learnt by a process of its own, so that what follows is deciding and nothing else
                kafka.produce(known)
                with policy(file, folder) as process:
                    # Each partition begins with a claim, and notes when its consent was read to the end.
                    wait(process, lambda: written(kafka, POLICY_STATE), 2 * COUNTS.recipient + len(known))
            kafka.produce(backlog(rules, requests))
            with policy(file, folder) as process:
                measure(kafka, process, requests, rules)
    finally:
        broker.close()


def measure(kafka: Kafka, process: Child, requests: int, rules: Rules) -> None:
    """Print the rate from the first admission seen to the last."""
    topic = dispatch_topic(MESSAGE_CLASS[rules])

    def admitted() -> int:
        return written(kafka, topic)

    first = wait(process, admitted, 1)
    began, cpu = time.monotonic(), cpu_s(process.pid)
    done = wait(process, admitted, requests)
    measured = done - first
    rate = measured / (time.monotonic() - began)
    cpu_us = 1e6 * (cpu_s(process.pid) - cpu) / measured
    print(
        f"policy, {rules} rules, {requests:,} requests: {rate:,.0f} decisions/s by the clock, {cpu_us:.0f} us CPU each "
        f"({1e6 / cpu_us:,.0f}/s on a core of its own), {memory_mb(process.pid):.0f} MB"
    )


def written(kafka: Kafka, topic: str) -> int:
    """Records that were ever written to a topic."""
    return sum(kafka.end_offsets(topic).values())


def wait(process: Child, count: Callable[[], int], wanted: int) -> int:
    """The count, once it is what was wanted."""
    give_up = time.monotonic() + GIVE_UP_AFTER_S
    while (found := count()) < wanted:
        if time.monotonic() > give_up or process.returncode is not None:
            raise SystemExit(f"policy stands at {found} of {wanted}:\n{process.output()}")
        time.sleep(POLL_S)
    return found


@contextmanager
def policy(file: Path, folder: Path) -> Iterator[Child]:
    """A policy process, with the local state of the one before it."""
    child = Child(
        "policy",
        [sys.executable, "-m", "commlayer", "--config", str(file), "run", "policy"],
        log=folder / "policy.log",
        cwd=ROOT,
        env={**os.environ, "BENCH_TOKEN": "none"},
    )
    try:
        yield child
    finally:
        child.stop()


@contextmanager
def segment() -> Iterator[str]:
    """Segment's Profile API, where everybody has the same traits. Gives its address."""

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = b'{"traits": {"first_name": "Ada", "language": "en-US"}, "cursor": {"has_more": false}}'
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("requests", nargs="?", type=int, default=REQUESTS)
    parser.add_argument("--rules", type=Rules, choices=list(Rules), default=Rules.THIN)
    arguments = parser.parse_args()
    main(arguments.requests, arguments.rules)
