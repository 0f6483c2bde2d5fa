"""A stage process for the tests of StageWorker: `python stage_process.py <json>`; finishes every record at once.

The JSON: settings (of KafkaSettings), group, topics (required ones, read all), health_port, datadir, raise_on (value of
a record that makes the agent raise), hang_on_stop (an after_stop step that never ends), hanging_thread (a thread of the
loop that never ends), stop_within_s (worker.STOP_WITHIN_S).
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from connectors.health import HealthBoard
from connectors.kafka import worker as module
from connectors.kafka.settings import KafkaSecurity, KafkaSettings
from connectors.kafka.worker import StageWorker, create_app

CONFIG: dict[str, Any] = json.loads(sys.argv[1])


async def take(stream: Any) -> None:
    async for event in stream.noack().events():
        if event.value == CONFIG.get("raise_on", "").encode():
            raise ValueError("this record cannot be taken")
        print("taken", event.message.partition, event.message.offset, flush=True)
        event.ack()


async def before() -> None:
    print("before start", flush=True)
    if CONFIG.get("hanging_thread"):
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 600)


async def after() -> None:
    print("after stop", flush=True)
    if CONFIG.get("hang_on_stop"):
        await asyncio.sleep(600)


logging.basicConfig(level="INFO", format="%(name)s %(levelname)s %(message)s")
settings = dict(CONFIG["settings"])
settings["bootstrap"] = tuple(settings["bootstrap"])
settings["security"] = KafkaSecurity(**settings.get("security", {}))
app = create_app(KafkaSettings(**settings), group=CONFIG["group"], anchor=None, datadir=Path(CONFIG["datadir"]))
for name in CONFIG["topics"]:
    app.agent(app.topic(name, value_type=bytes, value_serializer="raw"), name=f"take {name}")(take)
module.STOP_WITHIN_S = CONFIG.get("stop_within_s", module.STOP_WITHIN_S)
worker = StageWorker(
    app,
    before_start=[before],
    after_stop=[after],
    health=HealthBoard(),
    required_topics=CONFIG["topics"],
    health_port=CONFIG["health_port"],
)
code = worker.run()
print("exit code", code, flush=True)
sys.exit(code)
