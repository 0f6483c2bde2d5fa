"""The named steps of policy's loop, at each of which a test may kill a policy process or put it to sleep.

Production knows nothing of them: they lie around the publisher that the stage is given, put there by the test's own
worker.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from connectors.kafka.app import StageApp
from connectors.kafka.publisher import DurablePublisher, Position
from schemas.records import Deferral, Dispatch, LifecycleEvent, PolicyDecision
from schemas.topics import POLICY_STATE
from tests.streams.cluster import CODEC

RECORDS = {PolicyDecision: "decision", Dispatch: "order", Deferral: "wheel record", LifecycleEvent: "story"}
STEPS = (
    *(f"{what} {step}" for what in RECORDS.values() for step in ("judged", "handed over", "acknowledged")),
    "commit confirmed",
)
"""`judged`: the stage has asked whether it may, and hands over the record next."""


class FaultPoints:
    """Sends this process a signal when it passes one step for the n-th time; without step never.

    Args:
        signal_number: SIGKILL or SIGSTOP.
        mark: file that is made right before.
    """

    def __init__(
        self, step: str | None = None, nth: int = 1, signal_number: int = signal.SIGKILL, mark: str | None = None
    ) -> None:
        if step is not None and step not in STEPS:
            raise ValueError(f"no step {step!r}")
        self._step = step
        self._left = nth
        self._signal = signal_number
        self._mark = mark

    def reach(self, step: str) -> None:
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                if self._mark is not None:
                    Path(self._mark).touch()
                os.kill(os.getpid(), self._signal)

    def around(self, app: StageApp) -> None:
        """Put the point behind commits."""
        app.hooks.on_committed(lambda tp, offset: self.reach("commit confirmed"))


class FaultyPublisher(DurablePublisher):
    """The real publisher with a point before a record is handed over, one after it, and one before its
    acknowledgement is told."""

    points = FaultPoints()

    def publish(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        partition: int | None = None,
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> Any:
        what = _kind(topic, key, value)
        self.points.reach(f"{what} judged")
        future = super().publish(topic, value, key=key, partition=partition, headers=headers)

        def acknowledged(done: Any) -> None:
            if not done.cancelled() and isinstance(done.exception() or done.result(), Position):
                self.points.reach(f"{what} acknowledged")

        future.add_done_callback(acknowledged)
        self.points.reach(f"{what} handed over")
        return future


def _kind(topic: str, key: bytes | None, value: bytes | None) -> str:
    if value is None or (topic == POLICY_STATE and key is not None and b"\x00d" not in key):
        return "other"
    return RECORDS.get(type(CODEC.decode(value)), "other")
