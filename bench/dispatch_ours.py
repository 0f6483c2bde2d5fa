"""Our dispatch as a process: INTENT and RESULT for each POST, status records, offsets with notes.

python -m bench.dispatch_ours <bootstrap> <group> <url> <datadir> [<rates>]

With rates (JSON, segments per second by name of lane) each lane has a partition of its own and is paced; without, there
is one lane that nothing holds back. Only then are status callbacks asked for, which a sink never makes.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from connectors.health import HealthBoard
from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.worker import StageWorker, create_app
from connectors.twilio.account import Account
from schemas.codec import SingleObjectCodec
from schemas.topics import DISPATCH_ANCHOR
from streams.dispatch.lanes import Group, Lane, LaneTable
from streams.dispatch.stage import DispatchStage
from streams.dispatch.stage_settings import DispatchSettings

PARTITIONS = 8
UNPACED = 1e6
"""Segments per second: more than anything here can send."""


ACCOUNT_SID = "AC" + "0" * 32
TOKEN = "token"  # noqa: S105 of a twin


def address(number: int) -> str:
    """The sender of the lane of this number."""
    return f"+1500556{number:04d}"


def lanes(rates: Mapping[str, float]) -> LaneTable:
    return LaneTable.of(
        [Lane(name, "main", address(number), rate) for number, (name, rate) in enumerate(rates.items())],
        [Group(name, number) for number, name in enumerate(rates)],
        partitions=max(PARTITIONS, len(rates)),
    )


def main(bootstrap: str, group: str, url: str, datadir: str, rates: str = "") -> int:
    table = lanes(json.loads(rates) if rates else {"main": UNPACED})
    settings = KafkaSettings(bootstrap=(bootstrap,))
    publisher = DurablePublisher(settings, name="dispatch")
    stage = DispatchStage(
        table,
        accounts={"main": Account("main", ACCOUNT_SID, ACCOUNT_SID, TOKEN, base_url=url)},
        kafka=settings,
        codec=SingleObjectCodec(),
        publisher=publisher,
        settings=DispatchSettings(public_url=None if rates else "https://bridge.example"),
        now_ms=lambda: time.time_ns() // 1_000_000,
    )
    app = create_app(settings, group=group, anchor=DISPATCH_ANCHOR, window=stage.window, datadir=Path(datadir))
    stage.register(app)
    board = HealthBoard()
    stage.board(board)
    return StageWorker(
        app,
        before_start=[publisher.start, stage.start],
        after_stop=[stage.stop, publisher.stop],
        health=board,
        required_topics=dict.fromkeys(stage.topics(), table.partitions),
        health_port=None,
    ).run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:6]))
