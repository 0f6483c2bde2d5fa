"""The feedback process: what became of messages, and what did people answer?"""

from __future__ import annotations

from commlayer.config import Loaded, conversions
from streams.feedback.stage import FeedbackSettings, FeedbackStage

from . import Process, RunOptions
from .stage import Ground, run_stage, wall_clock_ms


def run(loaded: Loaded, options: RunOptions) -> int:
    """Run until told to stop. Returns the exit code."""

    def build(ground: Ground) -> FeedbackStage:
        return FeedbackStage(
            kafka=ground.kafka,
            codec=ground.codec,
            publisher=ground.publisher,
            now_ms=wall_clock_ms,
            errors=conversions.error_policy(loaded.config),
            settings=FeedbackSettings(
                sender_health=loaded.config.sender_health.as_feedback(), budgets=conversions.budgets(loaded.config)
            ),
        )

    # Lifecycle and inbound have different partition counts: nothing to keep together.
    return run_stage(Process.FEEDBACK, loaded, options, build=build, anchor=None)
