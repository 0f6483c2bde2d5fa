"""Trouble of a lane or account as a record on `comms.control`: what a stage met, who must mend it, and when it is
probed next. Pure."""

from __future__ import annotations

from schemas.records import Control, ControlAction, ControlSubject, Stage

from .switches import Aspect, control_key


def trouble(
    kind: ControlSubject,
    subject: str,
    *,
    code: int | None,
    why: str,
    fix: str,
    by: Stage,
    at: int,
    until: int,
) -> Control:
    """The record that trouble has begun, or goes on.

    Args:
        kind: lane or account.
        subject: configured name.
        code: Twilio's error code.
        why: what the code means.
        fix: what an operator can do; empty where it passes by itself.
        by: who met it.
        at: epoch milliseconds UTC.
        until: when one message probes whether it is over, epoch milliseconds UTC.
    """
    return Control(
        subject_kind=kind,
        subject=subject,
        action=ControlAction.PAUSE,
        reason=why,
        error_code=code,
        fix=fix or None,
        by=by.value,
        at=at,
        until=until,
    )


def trouble_over(kind: ControlSubject, subject: str, *, by: Stage, at: int) -> Control:
    """The record that a probe succeeded."""
    return Control(subject_kind=kind, subject=subject, action=ControlAction.CLEAR, by=by.value, at=at)


def fix_for(country: str, action: str) -> str:
    """What an operator can do about a lane that is refused for one country; `action`: what the error asks for."""
    return f"leave {country} out of `countries` of the sender in the configuration, or let Twilio permit it ({action})"


def trouble_key(record: Control) -> bytes:
    """Key of a record about trouble."""
    return control_key(record.subject_kind, record.subject, Aspect.TROUBLE)
