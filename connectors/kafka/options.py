"""What one app's consumer is told when it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from .hooks import PartitionHooks
from .lease import Lease
from .settings import KafkaSettings
from .window import DEFAULT_WINDOW, Windows


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """Settings, rules and callbacks of one consumer; `worker.create_app` makes them and hangs them on the app.

    Attributes:
        settings: addresses and times.
        windows: how much of each partition may be unfinished.
        hooks: who is told what.
        lease: shared with the stage.
    """

    settings: KafkaSettings
    windows: Windows
    hooks: PartitionHooks = field(default_factory=PartitionHooks)
    lease: Lease = field(default_factory=lambda: Lease(20.0))


def options_of(app: Any) -> ConsumerOptions:
    """The app's options; for a plain `faust.App(broker="commkafka://...")` those that follow from its own settings."""
    options = getattr(app, "consumer_options", None)
    if isinstance(options, ConsumerOptions):
        return options
    conf = app.conf
    session_s = float(conf.broker_session_timeout)
    settings = KafkaSettings(
        bootstrap=tuple(f"{url.host}:{url.port or 9092}" for url in conf.broker_consumer),
        session_timeout_s=session_s,
        rebalance_timeout_s=float(conf.broker_rebalance_timeout),
        request_timeout_s=session_s / 3,
        heartbeat_interval_s=min(float(conf.broker_heartbeat_interval), session_s / 3),
        broker_request_timeout_s=float(conf.broker_request_timeout),
    )
    return ConsumerOptions(settings, Windows(lambda tp: DEFAULT_WINDOW), lease=Lease(settings.lease_s))
