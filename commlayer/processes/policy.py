"""The policy process: may it be sent, by whom, when, how urgently?"""

from __future__ import annotations

from commlayer.config import Loaded, conversions
from connectors.kafka.state import PartitionStates
from connectors.profiles.segment import SegmentProfiles
from schemas.topics import DELETE_RETENTION_MS, POLICY_ANCHOR, POLICY_STATE
from streams.policy.config import PolicyConfig
from streams.policy.enrichment import Enrichment
from streams.policy.intake_windows import windows
from streams.policy.stage import PolicyStage

from . import Process, RunOptions
from .stage import Ground, run_stage, wall_clock_ms


def run(loaded: Loaded, options: RunOptions) -> int:
    """Run until told to stop. Returns the exit code."""

    def build(ground: Ground) -> PolicyStage:
        config = conversions.policy_config(loaded.config)
        return PolicyStage(
            config,
            codec=ground.codec,
            publisher=ground.publisher,
            kafka=ground.kafka,
            states=PartitionStates(
                POLICY_STATE,
                ground.kafka,
                ground.publisher,
                directory=ground.datadir / "state",
                delete_retention_s=DELETE_RETENTION_MS / 1000,
                owner=options.instance_id or Process.POLICY.value,
            ),
            customer_data=_customer_data(loaded, config),
            partitions=loaded.config.kafka.partitions.recipient,
            now_ms=wall_clock_ms,
        )

    return run_stage(
        Process.POLICY,
        loaded,
        options,
        build=build,
        anchor=POLICY_ANCHOR,
        window=windows(len(loaded.config.apps), loaded.config.kafka.partitions.recipient),
        on_topics=PolicyStage.read_strangers,
    )


def _customer_data(loaded: Loaded, config: PolicyConfig) -> Enrichment | None:
    settings = conversions.segment_settings(loaded.config, loaded.secrets)
    segment = loaded.config.profiles.segment
    if settings is None or segment is None:
        return None
    return Enrichment(
        config,
        SegmentProfiles(settings),
        identifiers=segment.identifiers(),
        names=segment.trait_names(),
        now_ms=wall_clock_ms,
    )
