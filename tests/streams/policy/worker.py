"""A policy process: `python -m tests.streams.policy.worker <json>`.

The JSON: bootstrap, group, datadir, and optionally instance (static membership), campaigns (senders of that pool),
apps (the only ones configured), kafka (changes to the settings), fault (arguments of `fault_points.FaultPoints`).
"""

from __future__ import annotations

import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

from connectors.health import HealthBoard
from connectors.kafka.state import PartitionStates
from connectors.kafka.worker import StageWorker, create_app
from schemas.topics import POLICY_ANCHOR, POLICY_STATE
from streams.policy.config import Cap, OverCap
from streams.policy.intake_windows import windows
from streams.policy.stage import PolicyStage
from tests.streams.cluster import CODEC, COUNTS
from tests.support.stage import quick_settings

from .fault_points import FaultPoints, FaultyPublisher
from .installation import HOUR, config

CAP = Cap(name="adverts", categories=frozenset({"marketing"}), window_ms=24 * HOUR, at_most=3, over=OverCap.DENY)


def main(told: dict[str, Any]) -> int:
    logging.basicConfig(level="WARNING", format="%(asctime)s %(name)s %(levelname)s %(message)s")
    settings = quick_settings(told["bootstrap"], **told.get("kafka", {}))
    datadir = Path(told["datadir"])
    points = FaultyPublisher.points = FaultPoints(*told.get("fault", ()))
    publisher = FaultyPublisher(settings, name="policy")
    pools = config().pools
    if "campaigns" in told:
        pools = {**pools, "campaigns": tuple(told["campaigns"])}
    apps = {name: grants for name, grants in config().apps.items() if name in told.get("apps", config().apps)}
    stage = PolicyStage(
        config(caps=(CAP,), pools=pools, apps=apps),
        codec=CODEC,
        publisher=publisher,
        kafka=settings,
        states=PartitionStates(POLICY_STATE, settings, publisher, directory=datadir / "state"),
        partitions=COUNTS.recipient,
        now_ms=lambda: time.time_ns() // 1_000_000,
    )
    app = create_app(
        settings,
        group=told["group"],
        anchor=POLICY_ANCHOR,
        window=windows(len(apps), COUNTS.recipient),
        instance_id=told.get("instance"),
        datadir=datadir,
    )
    stage.register(app)
    points.around(app)
    board = HealthBoard()
    stage.board(board)
    return StageWorker(
        app,
        before_start=[publisher.start, stage.start],
        after_stop=[stage.stop, publisher.stop],
        health=board,
        required_topics=dict.fromkeys(stage.topics(), COUNTS.recipient),
        health_port=None,
    ).run()


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
