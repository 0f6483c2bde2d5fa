"""Our dispatch as a process: INTENT and RESULT for each POST, status records, offsets with notes.

python -m bench.dispatch_ours <bootstrap> <group> <url> <datadir>
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from connectors.health import HealthBoard
from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.settings import KafkaSettings
from connectors.kafka.worker import StageWorker, create_app
from connectors.twilio.account import Account
from schemas.codec import SingleObjectCodec
from schemas.topics import DISPATCH_ANCHOR
from streams.dispatch.lanes import Group, Lane, LaneTable
from streams.dispatch.stage import DispatchSettings, DispatchStage

PARTITIONS = 8
UNPACED = 1e6
"""Segments per second: more than anything here can send."""


def lanes() -> LaneTable:
    return LaneTable.of([Lane("main", "main", "+15005550006", UNPACED)], [Group("main", 0)], partitions=PARTITIONS)


def main(bootstrap: str, group: str, url: str, datadir: str) -> int:
    settings = KafkaSettings(bootstrap=(bootstrap,))
    publisher = DurablePublisher(settings, name="dispatch")
    stage = DispatchStage(
        lanes(),
        accounts={"main": Account("main", "AC" + "0" * 32, "AC" + "0" * 32, "token", base_url=url)},
        kafka=settings,
        codec=SingleObjectCodec(),
        publisher=publisher,
        settings=DispatchSettings(public_url="https://bridge.example"),
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
        required_topics=dict.fromkeys(stage.topics(), PARTITIONS),
        health_port=None,
    ).run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))
