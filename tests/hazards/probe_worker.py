"""A worker process with one habit of its own, under stock Faust or under ours: `python probe_worker.py <json>`.

Whatever the transport, the agents are the same; they write a line of JSON to `log` for everything that happens. The
fields of the JSON are those of `tests.support.probe.Habit`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import sys
from pathlib import Path
from typing import Any

import faust
from faust.types import TP

from connectors.health import HealthBoard
from connectors.kafka.app import create_app
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.worker import StageWorker

CONFIG: dict[str, Any] = json.loads(sys.argv[1])
HABIT: dict[str, Any] = CONFIG["habit"]
LOG = Path(CONFIG["log"]).open("a", buffering=1)  # noqa: SIM115  # open as long as the process
STOCK = CONFIG["transport"] == "stock"

held: list[Any] = []
closed = False
idle = asyncio.Event()  # no record is in an agent's hands
idle.set()


def note(what: str, event: Any) -> None:
    message = event.message
    LOG.write(
        json.dumps({"what": what, "t": message.topic, "p": message.partition, "o": message.offset, "pid": os.getpid()})
        + "\n"
    )


async def take(stream: Any) -> None:
    taken = 0
    async for event in stream.noack().events():
        message = event.message
        taken += 1
        note("taken", event)
        if message.offset == HABIT["poison"]:
            raise ValueError(f"cannot take offset {message.offset}")
        if taken > HABIT["block_after"].get(message.topic, taken):
            await asyncio.Event().wait()
        while STOCK and taken == 1 and stream.channel.queue.qsize() < HABIT["fill_queue"]:  # noqa: ASYNC110  # a queue tells nobody
            await asyncio.sleep(0.02)
        if HABIT["work_s"]:
            idle.clear()
            await asyncio.sleep(HABIT["work_s"])
        if HABIT["hold"]:
            held.append(event)
            if STOCK and len(held) == HABIT["hold"]:
                app.consumer.pause_partitions({TP(message.topic, message.partition)})
        elif message.offset in HABIT["unfinished"]:
            held.append(event)
        elif HABIT["finish_within_s"]:
            delay_s = random.uniform(0, HABIT["finish_within_s"])  # in any order
            asyncio.get_running_loop().call_later(delay_s, finish, event)
        else:
            finish(event)
        idle.set()


def finish(event: Any) -> None:
    if not STOCK and not app.consumer.holds(event.message.generation_id):
        note("fenced", event)
        return
    note("done", event)
    event.ack()


def window(tp: tuple[str, int]) -> int:
    if closed and tp[1] == 0:
        return 0
    return HABIT["hold"] or 1000


def stop_reading_in_the_middle() -> None:
    """Partition 0 is not to be read for a while, from the moment when one of its records is being delivered."""
    stop_at = HABIT["stop_reading_at"]
    consumer_class = type(app.consumer)
    deliver = consumer_class._to_message

    def to_message(self: Any, tp: Any, record: Any) -> Any:
        global closed
        if record.partition == 0 and record.offset == stop_at and not closed:
            closed = True
            tps = {TP(record.topic, 0)}
            if STOCK:
                self.pause_partitions(tps)
            asyncio.get_running_loop().call_later(1.5, read_on, tps)
        return deliver(self, tp, record)

    consumer_class._to_message = to_message


def read_on(tps: set[TP]) -> None:
    global closed
    closed = False
    if STOCK:
        app.consumer.resume_partitions(tps)


def stock_app() -> faust.App:
    return faust.App(
        CONFIG["group"],
        broker=f"kafka://{CONFIG['bootstrap']}",
        broker_session_timeout=6.0,
        broker_heartbeat_interval=0.5,
        broker_commit_interval=HABIT["commit_interval_s"],
        key_serializer="raw",
        value_serializer="raw",
        topic_allow_declare=False,
        topic_disable_leader=True,
        worker_redirect_stdouts=False,
        web_enabled=False,
        datadir=CONFIG["datadir"],
    )


def our_app() -> faust.App:
    settings = KafkaSettings(
        bootstrap=(CONFIG["bootstrap"],),
        session_timeout_s=6.0,
        heartbeat_interval_s=0.5,
        request_timeout_s=2.0,
        commit_interval_s=HABIT["commit_interval_s"],
    )
    ours = create_app(settings, group=CONFIG["group"], anchor=None, window=window, datadir=Path(CONFIG["datadir"]))

    @ours.hooks.on_revoked
    async def finish_what_is_in_hand(partitions: Any) -> None:
        await idle.wait()

    return ours


logging.basicConfig(level="WARNING")
app = stock_app() if STOCK else our_app()
for name in CONFIG["topics"]:
    app.agent(app.topic(name, value_type=bytes, value_serializer="raw"), name=f"take {name}")(take)


@app.on_partitions_assigned.connect
async def assigned(sender: Any, assigned: Any, **kwargs: Any) -> None:
    LOG.write(json.dumps({"what": "assigned", "count": len(assigned), "pid": os.getpid()}) + "\n")
    if HABIT["stop_reading_at"] is not None:
        stop_reading_in_the_middle()
        HABIT["stop_reading_at"] = None


if STOCK:
    faust.Worker(app, loglevel="WARN", redirect_stdouts=False).execute_from_commandline()
else:
    worker = StageWorker(app, health=HealthBoard(), required_topics=CONFIG["topics"], health_port=None)
    sys.exit(worker.run())
