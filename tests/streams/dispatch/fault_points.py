"""The named steps of the send loop, at each of which a test may end a dispatch process (kill -9).

Production knows nothing of them: they lie around what the stage is given (publisher, Twilio, hooks), put there by the
test's own worker.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from typing import Any

from connectors.kafka.app import StageApp
from connectors.kafka.publisher import DurablePublisher, Position
from connectors.twilio.messages import Messages
from schemas.records import Attempt, AttemptKind, Deferral, LifecycleEvent
from streams.dispatch.stage import DispatchStage
from tests.streams.cluster import CODEC

STEPS: dict[str, int] = {
    "intent handed over": 20,
    "intent acknowledged": 20,
    "POST begins": 20,
    "POST answered": 20,
    "result final handed over": 20,
    "result final acknowledged": 20,
    "result retry acknowledged": 1,
    "result wheel handed over": 2,
    "result wheel acknowledged": 2,
    "wheel record handed over": 2,
    "wheel record acknowledged": 2,
    "lifecycle handed over": 20,
    "lifecycle acknowledged": 20,
    "commit noted": 3,
    "commit confirmed": 3,
    "restored": 1,
    "list asked": 1,
    "list read": 1,
}
"""Step → how often a process passes it before it dies there: often where every message passes."""


class FaultPoints:
    """Ends this process when it passes one step for the n-th time; with `step` None never."""

    def __init__(self, step: str | None = None, nth: int = 1) -> None:
        if step is not None and step not in STEPS:
            raise ValueError(f"no step {step!r}")
        self._step = step
        self._left = nth

    def reach(self, step: str) -> None:
        if step == self._step:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, stage: DispatchStage, app: StageApp) -> None:
        """Put the points around Twilio's client, restoring and commits."""
        create, list_to, open_engine = Messages.create, Messages.list_to, stage.engine.open
        noted = app.hooks.position_meta
        assert noted is not None

        async def passing_create(*args: Any, **more: Any) -> Any:
            self.reach("POST begins")
            answer = await create(*args, **more)
            self.reach("POST answered")
            return answer

        async def passing_list(*args: Any, **more: Any) -> Any:
            self.reach("list asked")
            listing = await list_to(*args, **more)
            self.reach("list read")
            return listing

        def passing_open(*args: Any, **more: Any) -> None:
            self.reach("restored")
            open_engine(*args, **more)

        def passing_note(*args: Any) -> str:
            self.reach("commit noted")
            return noted(*args)

        Messages.create = passing_create  # type: ignore[method-assign]
        Messages.list_to = passing_list  # type: ignore[method-assign]
        stage.engine.open = passing_open  # type: ignore[method-assign]
        app.hooks.position_meta = passing_note
        app.hooks.on_committed(lambda tp, offset: self.reach("commit confirmed"))


class FaultyPublisher(DurablePublisher):
    """The real publisher with a point after a record is handed over, and one before its acknowledgement is told."""

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
        future = super().publish(topic, value, key=key, partition=partition, headers=headers)
        what = _kind(value)

        def acknowledged(done: Any) -> None:
            if not done.cancelled() and isinstance(done.exception() or done.result(), Position):
                self.points.reach(f"{what} acknowledged")

        future.add_done_callback(acknowledged)
        self.points.reach(f"{what} handed over")
        return future


def _kind(value: bytes | None) -> str:
    record = CODEC.decode(value or b"")
    if isinstance(record, Attempt):
        return "intent" if record.kind is AttemptKind.INTENT else f"result {(record.follows or '')}"
    if isinstance(record, Deferral):
        return "wheel record"
    return "lifecycle" if isinstance(record, LifecycleEvent) else "other"
