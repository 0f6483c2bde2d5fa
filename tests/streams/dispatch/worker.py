"""A dispatch process: `python -m tests.streams.dispatch.worker <json>`.

The JSON: bootstrap, group, datadir, twin (URL), and optionally

* instance (static membership), settle_s, kafka (changes to the settings), health_port;
* lanes (see `cluster.lanes`) or fleet (see `cluster.fleet`) with partitions;
* die_at: a step of `fault_points.STEPS` and how often it is passed;
* callbacks: base URL of status callbacks, which also tells the twin's books whose POST it was;
* list_again_s: `doubts.LIST_AGAIN_S`;
* lists_per_s: `listing.LISTS_PER_S`, where deaths follow one another within seconds and each leaves a hundred in doubt;
* served: a file that gets a line with the time whenever this process begins to send for partitions.
"""

from __future__ import annotations

import faulthandler
import json
import logging
import signal
import sys
import time
from pathlib import Path
from typing import Any

from connectors.health import HealthBoard
from connectors.kafka.worker import StageWorker, create_app
from connectors.twilio.http import HttpSettings
from schemas.topics import ATTEMPTS, DISPATCH_ANCHOR
from streams.dispatch import doubts, listing
from streams.dispatch.stage import DispatchStage
from streams.dispatch.stage_settings import DispatchSettings
from tests.streams.cluster import CODEC, COUNTS
from tests.support.stage import quick_settings

from .cluster import account, fleet, lanes, wall_ms
from .fault_points import FaultPoints, FaultyPublisher


def main(config: dict[str, Any]) -> int:
    faulthandler.register(signal.SIGUSR1)  # a test that waits for this process in vain may ask where it is
    logging.basicConfig(level="WARNING", format="%(asctime)s %(name)s %(levelname)s %(message)s")
    settings = quick_settings(config["bootstrap"], **config.get("kafka", {}))
    doubts.LIST_AGAIN_S = config.get("list_again_s", doubts.LIST_AGAIN_S)
    listing.LISTS_PER_S = config.get("lists_per_s", listing.LISTS_PER_S)
    points = FaultyPublisher.points = FaultPoints(*config.get("die_at", ()))
    publisher = FaultyPublisher(settings, name="dispatch")
    partitions = config.get("partitions", COUNTS.dispatch)
    stage = DispatchStage(
        fleet(config["fleet"], partitions) if "fleet" in config else lanes(config.get("lanes")),
        accounts={"main": account(config["twin"])},
        kafka=settings,
        codec=CODEC,
        publisher=publisher,
        settings=DispatchSettings(
            public_url=config.get("callbacks"),
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
    if "served" in config:
        note_openings(stage, Path(config["served"]))
    board = HealthBoard()
    stage.board(board)
    return StageWorker(
        app,
        before_start=[publisher.start, stage.start],
        after_stop=[stage.stop, publisher.stop],
        health=board,
        required_topics=dict.fromkeys((*stage.topics(), ATTEMPTS), partitions),
        health_port=config.get("health_port"),
    ).run()


def note_openings(stage: DispatchStage, file: Path) -> None:
    open_engine = stage.engine.open

    def noting_open(*args: Any, **more: Any) -> None:
        with file.open("a") as lines:
            lines.write(f"{time.time()}\n")
        open_engine(*args, **more)

    stage.engine.open = noting_open  # type: ignore[method-assign]


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
