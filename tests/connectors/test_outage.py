from __future__ import annotations

from structlog.testing import capture_logs

from connectors.health import Health
from connectors.outage import Outage


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_outage_is_logged_once_when_it_begins_and_once_when_it_ends() -> None:
    clock = Clock()
    outage = Outage("registry", clock=clock, now_s=lambda: 0.0)
    with capture_logs() as logs:
        outage.ended()
        for why in ("refused", "refused", "timeout"):
            outage.began(why)
            clock.now += 5
        outage.ended()
        outage.ended()
    assert [(log["event"], log["what"]) for log in logs] == [
        ("dependency away", "registry"),
        ("dependency back", "registry"),
    ]
    assert logs[1]["after_s"] == 15


def test_health_shows_since_when_and_the_latest_reason() -> None:
    clock = Clock()
    outage = Outage("registry", clock=clock, now_s=lambda: 3661.0)
    assert outage.health() == Health(True)
    outage.began("refused")
    clock.now += 7
    outage.began("timeout")
    assert outage.health() == Health(False, "registry away since 01:01:01Z (7 s): timeout")
    outage.ended()
    assert outage.over
