"""A feedback process: `python -m tests.streams.feedback.worker <bootstrap> <group> <datadir>`."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from connectors.health import HealthBoard
from connectors.kafka.publisher import DurablePublisher
from connectors.kafka.worker import StageWorker, create_app
from schemas.codec import SingleObjectCodec
from schemas.topics import INBOUND, LIFECYCLE
from streams.feedback.stage import FeedbackStage
from tests.streams.cluster import COUNTS
from tests.support.stage import quick_settings


def main(bootstrap: str, group: str, datadir: str) -> int:
    settings = quick_settings(bootstrap)
    publisher = DurablePublisher(settings, name="feedback")
    stage = FeedbackStage(
        kafka=settings, codec=SingleObjectCodec(), publisher=publisher, now_ms=lambda: time.time_ns() // 1_000_000
    )
    app = create_app(settings, group=group, anchor=None, datadir=Path(datadir))
    stage.register(app)
    board = HealthBoard()
    stage.board(board)
    return StageWorker(
        app,
        before_start=[publisher.start, stage.start],
        after_stop=[stage.stop, publisher.stop],
        health=board,
        required_topics={LIFECYCLE: COUNTS.lifecycle, INBOUND: COUNTS.recipient},
        health_port=None,
    ).run()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
