"""The Faust app of a stage: the corrected transport under stock Faust, and nothing that this project does not use."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import faust
from faust.app.base import BootStrategy
from faust.auth import SASLCredentials, SSLCredentials
from mode import CrashingSupervisor

from .assignor import Assignor
from .hooks import PartitionHooks
from .lease import Lease
from .options import ConsumerOptions
from .resume import NoTables
from .settings import KafkaSecurity, KafkaSettings
from .topic_partition import TP
from .window import DEFAULT_WINDOW, MAX_HELD, Windows


class _NoProducer(BootStrategy):  # type: ignore[misc]  # Faust's classes are untyped
    """Records are written by the durable publisher; Faust's producer would only hold connections."""

    enable_kafka_producer = False
    enable_web = False


class StageApp(faust.App):  # type: ignore[misc]  # Faust's classes are untyped
    """A Faust app with what its consumer is to know.

    Attributes:
        consumer_options: settings, windows, hooks and lease.
    """

    BootStrategy = _NoProducer
    consumer_options: ConsumerOptions

    @property
    def hooks(self) -> PartitionHooks:
        """Where a stage registers what is to be called at assignment, revoke and commit."""
        return self.consumer_options.hooks

    @property
    def lease(self) -> Lease:
        """Whether this process may still act for its partitions."""
        return self.consumer_options.lease

    def on_init_dependencies(self) -> Iterable[Any]:
        """Start without Faust's monitor, whose bookkeeping costs more per record than delivering it. One sensor that
        does nothing stays: rebalances warn where there is none."""
        self.sensors.add(faust.Sensor())
        return self.boot_strategy.server()  # type: ignore[no-any-return]  # Faust is untyped


def create_app(
    settings: KafkaSettings,
    *,
    group: str,
    anchor: str | None,
    window: Callable[[TP], int] = lambda tp: DEFAULT_WINDOW,
    held: Callable[[TP], int] = lambda tp: MAX_HELD,
    instance_id: str | None = None,
    datadir: Path,
) -> StageApp:
    """The app of one stage process. Agents are added to it as to any Faust app:

        topic = app.topic(name, value_type=bytes, value_serializer="raw")

        @app.agent(topic)
        async def take(stream):
            async for event in stream.noack().events():
                stage.offer(event)          # and, some time later: event.ack()

    An exception in an agent ends the process (CrashingSupervisor) and nothing of it is committed.

    Args:
        settings: addresses, credentials and times.
        group: consumer group; workers of the same group share the partitions.
        anchor: topic that decides which partitions are served here (see window.py), or None.
        window: most unfinished records per partition. Called before each fetch; must be quick.
        held: most delivered records per partition at or above the offset that may be committed (see window.py).
        instance_id: static membership (`group.instance.id`): a restart within the session timeout disturbs nobody. It
            must be unique among the living processes of the group.
        datadir: directory for Faust's files; one per process.
    """
    app = StageApp(
        group,
        broker=";".join(f"commkafka://{address}" for address in settings.bootstrap),
        broker_credentials=_credentials(settings.security),
        broker_client_id=f"commlayer-{group}",
        broker_session_timeout=settings.session_timeout_s,
        broker_heartbeat_interval=settings.heartbeat_interval_s,
        broker_rebalance_timeout=settings.rebalance_timeout_s,
        broker_request_timeout=settings.broker_request_timeout_s,
        broker_commit_interval=settings.commit_interval_s,
        broker_max_poll_records=settings.max_poll_records,
        consumer_max_fetch_size=settings.max_fetch_bytes,
        consumer_metadata_max_age_ms=int(settings.metadata_max_age_s * 1000),
        consumer_group_instance_id=instance_id,
        processing_guarantee="at_least_once",
        key_serializer="raw",
        value_serializer="raw",
        stream_wait_empty=False,  # stock waits for every unfinished record, for ever
        table_standby_replicas=1,  # 0 replaces Faust's assignor by one that does not keep equal partitions together
        TableManager=NoTables,
        PartitionAssignor=Assignor,
        topic_allow_declare=False,
        topic_disable_leader=True,
        agent_supervisor=CrashingSupervisor,  # others ack the record that caused the exception
        worker_redirect_stdouts=False,
        web_enabled=False,
        autodiscover=False,
        datadir=datadir,
    )
    app.consumer_options = ConsumerOptions(
        settings, Windows(window, anchor, held, settings.fair_poll_records), lease=Lease(settings.lease_s)
    )
    return app


def _credentials(security: KafkaSecurity) -> Any:
    context = ssl.create_default_context(cafile=security.ca_file) if security.tls else None
    if security.sasl:
        return SASLCredentials(
            username=security.username,
            password=security.password,
            mechanism=security.mechanism,
            ssl_context=context,
        )
    return None if context is None else SSLCredentials(context)
