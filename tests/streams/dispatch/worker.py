"""A dispatch process: `python -m tests.streams.dispatch.worker <json>`.

The JSON: bootstrap, group, datadir, twin (URL), and optionally instance (static membership), settle_s, lanes (see
`cluster.lanes`) or fleet (see `cluster.fleet`), kafka (changes to the settings), health_port, die_at (a step of
`fault_points.STEPS` and how often it is passed).
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

from connectors.health import HealthBoard
from connectors.kafka.worker import StageWorker, create_app
from connectors.twilio.http import HttpSettings
from schemas.topics import ATTEMPTS, DISPATCH_ANCHOR
from streams.dispatch.stage import DispatchSettings, DispatchStage
from tests.streams.cluster import CODEC, COUNTS
from tests.support.stage import quick_settings

from .cluster import account, fleet, lanes, wall_ms
from .fault_points import FaultPoints, FaultyPublisher


def main(config: dict[str, Any]) -> int:
    logging.basicConfig(level="WARNING", format="%(asctime)s %(name)s %(levelname)s %(message)s")
    settings = quick_settings(config["bootstrap"], **config.get("kafka", {}))
    points = FaultyPublisher.points = FaultPoints(*config.get("die_at", ()))
    publisher = FaultyPublisher(settings, name="dispatch")
    stage = DispatchStage(
        fleet(config["fleet"]) if "fleet" in config else lanes(config.get("lanes")),
        accounts={"main": account(config["twin"])},
        kafka=settings,
        codec=CODEC,
        publisher=publisher,
        settings=DispatchSettings(
            public_url=None,
            http=HttpSettings(total_timeout_s=1.5, connect_timeout_s=1.0),
            settle_s=config.get("settle_s", 2.0),
        ),
        now_ms=wall_ms,
    )
    app = create_app(
        settings,
        group=config["group"],
        anchor=DISPATCH_ANCHOR,
        window=stage.window,
        instance_id=config.get("instance"),
        datadir=Path(config["datadir"]),
    )
    stage.register(app)
    points.around(stage, app)
    board = HealthBoard()
    stage.board(board)
    return StageWorker(
        app,
        before_start=[publisher.start, stage.start],
        after_stop=[stage.stop, publisher.stop],
        health=board,
        required_topics=dict.fromkeys((*stage.topics(), ATTEMPTS), COUNTS.dispatch),
        health_port=config.get("health_port"),
    ).run()


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
