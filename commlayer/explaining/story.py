"""The story of a message: everything that was said about it, in order. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from schemas.records import Attempt, AttemptKind, Callback, LifecycleEvent, Stage, StatusUpdate
from streams.feedback.facts import fact_of
from streams.feedback.fold import MessageFold

Said = LifecycleEvent | Callback
Step = Said | Attempt
_FIRST = {AttemptKind.INTENT: 1, AttemptKind.RESULT: 2}
"""What has the same moment: policy's word, then the attempt, then what was said of it."""


@dataclass(frozen=True, slots=True)
class Story:
    """Everything said about one message.

    Attributes:
        message_id: the message.
        steps: by round, then by time; each said once. Attempts are among them where they were looked for.
        now: its state, by the fold that feedback uses.
        unreadable: records under its id that could not be read.
        untold: why attempts are missing, if some may be; a sentence.
    """

    message_id: str
    steps: tuple[Step, ...]
    now: StatusUpdate
    unreadable: int = 0
    untold: str | None = None

    @property
    def began_at(self) -> int:
        """Moment of the first step, epoch milliseconds UTC."""
        return min(map(moment_of, self.steps))


def story_of(
    message_id: str,
    said: Iterable[Said],
    *,
    attempts: Iterable[Attempt] = (),
    unreadable: int = 0,
    untold: str | None = None,
) -> Story | None:
    """The story that the records tell, in whatever order and however often they come; None when nothing was said."""
    fold = MessageFold(message_id)
    steps: dict[object, Step] = {}
    for record in said:
        fold.add(fact_of(record))
        # A repeat after a crash has the same event id; Twilio's repeats differ in the moment they came alone.
        steps.setdefault(_identity(record), record)
    if not steps:
        return None
    for attempt in attempts:
        steps.setdefault(_identity(attempt), attempt)
    ordered = sorted(steps.values(), key=lambda step: (step.round, moment_of(step), _order(step)))
    return Story(message_id, tuple(ordered), fold.update(), unreadable, untold)


def moment_of(step: Step) -> int:
    """When it was said or tried, epoch milliseconds UTC."""
    return step.received_at if isinstance(step, Callback) else step.at


def _order(step: Step) -> int:
    if isinstance(step, Attempt):
        return _FIRST[step.kind]
    return 0 if isinstance(step, LifecycleEvent) and step.stage is Stage.POLICY else 3


def _identity(step: Step) -> object:
    if isinstance(step, LifecycleEvent):
        return step.event_id
    if isinstance(step, Attempt):
        return (step.kind, step.round, step.attempt, step.at, step.outcome, step.follows, step.owner)
    return (step.round, step.attempt, step.sid, step.status, step.error_code)
