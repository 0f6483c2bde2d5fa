"""That too many of a lane's messages fail for its sender's sake, as a record on `comms.control`. Pure.

It holds nothing: policy gives new messages to another sender where one fits. The action is that of a pause, as with
trouble, and the key says what is meant; so processes of an earlier version read it, and do nothing.
"""

from __future__ import annotations

from schemas.records import Control, ControlAction, ControlSubject, Stage

from .switches import Aspect, control_key


def failing(lane: str, *, code: int, why: str, fix: str, at: int, until: int) -> Control:
    """The record that a lane's messages fail too often.

    Args:
        lane: configured name.
        code: Twilio's error code that most of them failed with.
        why: what was counted, in words.
        fix: what an operator can do.
        at, until: from when to when the lane is avoided, epoch milliseconds UTC.
    """
    return Control(
        subject_kind=ControlSubject.LANE,
        subject=lane,
        action=ControlAction.PAUSE,
        reason=why,
        error_code=code,
        fix=fix or None,
        by=Stage.FEEDBACK.value,
        at=at,
        until=until,
    )


def healthy(lane: str, *, at: int) -> Control:
    """The record that few enough of its messages fail again."""
    return Control(
        subject_kind=ControlSubject.LANE, subject=lane, action=ControlAction.CLEAR, by=Stage.FEEDBACK.value, at=at
    )


def health_key(lane: str) -> bytes:
    """Key of such a record."""
    return control_key(ControlSubject.LANE, lane, Aspect.HEALTH)


def is_health(key: bytes) -> bool:
    """Whether a record of this key tells how many of a lane's messages fail."""
    return key.endswith(Aspect.HEALTH.value.encode())
