"""The dispatch process: sends what policy admitted, at each sender's pace."""

from __future__ import annotations

from commlayer.config import Loaded, conversions
from connectors.twilio.http import HttpSettings
from schemas.topics import DISPATCH_ANCHOR
from streams.dispatch.stage import DispatchStage
from streams.dispatch.stage_settings import DispatchSettings

from . import Process, RunOptions
from .stage import Ground, run_stage, wall_clock_ms


def run(loaded: Loaded, options: RunOptions) -> int:
    """Run until told to stop. Returns the exit code."""
    config = loaded.config
    table = conversions.lane_table(config)

    def build(ground: Ground) -> DispatchStage:
        return DispatchStage(
            table,
            accounts=conversions.accounts(config, loaded.secrets),
            kafka=ground.kafka,
            codec=ground.codec,
            publisher=ground.publisher,
            settings=DispatchSettings(
                public_url=config.bridge.public_url.rstrip("/"),
                scheduler=conversions.scheduler_settings(config),
                http=_http(ground),
                brands=conversions.brands(config),
                by_law=conversions.categories_by_law(config),
                resends=config.dispatch.resends,
            ),
            now_ms=wall_clock_ms,
            policy=conversions.error_policy(config),
        )

    return run_stage(
        Process.DISPATCH,
        loaded,
        options,
        build=build,
        anchor=DISPATCH_ANCHOR,
        window=lambda tp: table.window(tp.partition),
        held=lambda tp: table.held(tp.partition),
    )


def _http(ground: Ground) -> HttpSettings:
    """A POST may not last longer than the lease allows for."""
    total_s = ground.kafka.request_timeout_s
    return HttpSettings(total_timeout_s=total_s, connect_timeout_s=min(HttpSettings().connect_timeout_s, total_s / 2))
