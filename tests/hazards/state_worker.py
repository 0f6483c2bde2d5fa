"""A process that holds partition 0 of a state topic and writes new entries as fast as it can: `python state_worker.py
<json>`. Each of its writes has its own key, `<name>:<number>`, and it notes those whose put returned."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.state import PartitionStates, PartitionTaken

CONFIG: dict[str, Any] = json.loads(sys.argv[1])
AT_ONCE = 50
KEYS = 40  # written again and again, beside those of their own


async def main() -> None:
    settings = KafkaSettings(bootstrap=(CONFIG["bootstrap"],))
    publisher = DurablePublisher(settings, name=CONFIG["name"])
    await publisher.start()
    states = PartitionStates(
        CONFIG["topic"], settings, publisher, directory=Path(CONFIG["directory"]), owner=CONFIG["name"]
    )
    await states.start()
    await states.open(0)
    with Path(CONFIG["log"]).open("a", buffering=1) as log:  # noqa: ASYNC230  # one line at a time, on a test's disk
        log.write("open\n")
        number = 0

        async def write() -> None:
            nonlocal number
            while True:
                number += 1
                mine = number
                key = f"{CONFIG['name']}:{mine}"
                entries = {key.encode(): b"%d" % mine, b"shared:%d" % (mine % KEYS): key.encode()}
                source = (CONFIG["sources"][mine % len(CONFIG["sources"])], 0, mine)
                await states.put(0, entries, source=source)
                log.write(f"put {key}\n")

        try:
            await asyncio.gather(*(write() for _ in range(AT_ONCE)))
        except PartitionTaken:
            log.write("taken\n")
            await asyncio.sleep(3600)


asyncio.run(main())
