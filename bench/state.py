"""Partition state: records restored per second, cold and warm, puts per second, and memory.

python -m bench.state <bootstrap>
"""

from __future__ import annotations

import asyncio
import resource
import secrets
import shutil
import sys
import tempfile
import time
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.state import PartitionStates

PUTS = 100_000
AT_ONCE = 500
VALUE = b"v" * 150


async def main(bootstrap: str) -> None:
    topic = f"bench-state-{secrets.token_hex(4)}"
    new = NewTopic(topic, 1, 1, config={"cleanup.policy": "compact", "min.compaction.lag.ms": "3600000"})
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([new])[topic].result(30)
    settings = KafkaSettings(bootstrap=(bootstrap,))
    publisher = DurablePublisher(settings, name="bench")
    await publisher.start()
    directory = Path(tempfile.mkdtemp())
    states = PartitionStates(topic, settings, publisher, directory=directory)
    await states.open(0)
    numbers = iter(range(PUTS))

    async def put() -> None:
        for number in numbers:
            await states.put(0, {b"+1415555%07d" % (number % 20_000): VALUE}, source=("in", 0, number))

    began, cpu = time.perf_counter(), time.thread_time()
    await asyncio.gather(*(put() for _ in range(AT_ONCE)))
    took, cost = time.perf_counter() - began, time.thread_time() - cpu
    print(f"put: {PUTS / took:,.0f}/s, {cost / PUTS * 1e6:.0f} us of the loop's thread each")
    for name in ("warm", "cold"):
        await states.close(0)
        if name == "cold":
            shutil.rmtree(directory)
        began = time.perf_counter()
        await states.open(0)
        took = time.perf_counter() - began
        print(f"{name}: {took:.2f} s" + (f", {PUTS / took:,.0f} records/s" if name == "cold" else ""))
    print(f"largest memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    await states.stop()
    await publisher.stop()
    shutil.rmtree(directory)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
