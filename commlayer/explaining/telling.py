"""Stories for people (lines) and programs (plain values). Every number in them is masked: an explanation ends up in
tickets and chats. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from connectors.masking import mask_numbers, mask_within
from connectors.twilio.errors import ErrorPolicy
from schemas.records import Callback, LifecycleEvent

from .advice import advice, meaning, sentence
from .story import Said, Story, moment_of

_SHOWN_WITH_STEP = (
    "lane",
    "account",
    "sender",
    "segments",
    "deadline",
    "until",
    "sid",
    "rule",
    "rule_version",
)
_MOMENTS = frozenset({"deadline", "until"})
_WORDS = {"rule_version": "rules", "sid": "SID"}
_INDENT = " " * 6


def lines(story: Story, errors: ErrorPolicy) -> Iterator[str]:
    """The story as text, a line at a time."""
    for line in _lines(story, errors):
        yield mask_numbers(line)


def as_data(story: Story, errors: ErrorPolicy) -> dict[str, Any]:
    """The story as plain values, ready for JSON: `message`, `steps`, `status`."""
    now = story.now
    data = {
        "message_id": story.message_id,
        "message": dict(_about(story)),
        "steps": [_step(step, errors) for step in story.steps],
        "unreadable": story.unreadable,
        "status": {
            "status": now.status.value,
            "is_final": now.is_final,
            "round": now.round,
            "attempts": now.attempts,
            "reason": now.reason,
            "error_code": now.error_code,
            "at": now.updated_at,
        },
        "advice": advice(now, errors),
    }
    masked: dict[str, Any] = mask_within(data)
    return masked


def summary(story: Story) -> str:
    """One line: when it began, id, app, what it was, how it stands."""
    now = story.now
    why = now.reason or (str(now.error_code) if now.error_code is not None else "")
    words = [moment(story.began_at), story.message_id, now.app, now.category or "", now.status.value, why]
    return mask_numbers("  ".join(word for word in words if word))


def moment(at_ms: int) -> str:
    """A moment as people read it: UTC with milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _lines(story: Story, errors: ErrorPolicy) -> Iterator[str]:
    yield f"message {story.message_id}"
    yield "  " + ", ".join(f"{name} {value}" for name, value in _about(story))
    place: tuple[int, int | None] | None = None
    for step in story.steps:
        if place is None or place[0] != step.round:
            yield f"round {step.round}"
        attempt = step.attempt
        if attempt is not None and (place is None or place != (step.round, attempt)):
            yield f"  attempt {attempt}"
        place = (step.round, attempt if attempt is not None or place is None else place[1])
        yield from _step_lines(step, errors)
    if story.unreadable:
        yield f"({story.unreadable} records under this id could not be read)"
    final = "final" if story.now.is_final else "not final"
    yield f"now: {story.now.status.value} ({final}) since {moment(story.now.updated_at)}"
    yield f"what can be done: {advice(story.now, errors)}"


def _about(story: Story) -> Iterator[tuple[str, str]]:
    now = story.now
    named: list[tuple[str, Any]] = [
        ("app", now.app),
        ("category", now.category),
        ("class", now.message_class),
        ("to", now.recipient),
        ("channel", now.channel),
        ("campaign", now.campaign),
        ("correlation id", now.correlation_id),
        ("requested", None if now.requested_at is None else moment(now.requested_at)),
    ]
    yield from ((name, str(value)) for name, value in named if value)


def _step_lines(step: Said, errors: ErrorPolicy) -> Iterator[str]:
    told = _step(step, errors)
    yield f"    {moment(moment_of(step))}  {told['by']:<8}  {told['status']}"
    reason = told.get("reason")
    if reason is not None:
        yield f"{_INDENT}why: {reason}: {told.get('meaning') or 'no reason of this version'}"
    if "detail" in told:
        yield f"{_INDENT}{told['detail']}"
    if "error_code" in told:
        what, fix = sentence(told["error"]), sentence(told["fix"])
        yield f"{_INDENT}error {told['error_code']} ({told['error_class']}): {what} Fix: {fix}"
    shown = [
        f"{_WORDS.get(name, name)} {moment(told[name]) if name in _MOMENTS else told[name]}"
        for name in _SHOWN_WITH_STEP
        if name in told
    ]
    if shown:
        yield f"{_INDENT}{', '.join(shown)}"
    if told.get("facts"):
        yield f"{_INDENT}facts: " + ", ".join(f"{name} {value}" for name, value in sorted(told["facts"].items()))


def _step(step: Said, errors: ErrorPolicy) -> dict[str, Any]:
    told: dict[str, Any] = {"at": moment_of(step), "round": step.round}
    if step.attempt is not None:
        told["attempt"] = step.attempt
    if isinstance(step, LifecycleEvent):
        told |= {"by": step.stage.value, "status": step.status.value}
        told |= {name: value for name in _SHOWN_WITH_STEP if (value := getattr(step, name)) is not None}
        if step.reason is not None:
            told |= {"reason": step.reason, "meaning": meaning(step.reason)}
        if step.detail is not None:
            told["detail"] = step.detail
        if step.facts:
            told["facts"] = dict(step.facts)
    else:
        told |= _callback(step)
    if step.error_code is not None:
        error = errors.classify(step.error_code)
        scope = step.error_class if isinstance(step, LifecycleEvent) and step.error_class else error.scope.value
        told |= {"error_code": step.error_code, "error_class": scope, "error": error.title, "fix": error.action}
    return told


def _callback(step: Callback) -> dict[str, Any]:
    told: dict[str, Any] = {"by": "twilio", "status": step.status.lower(), "sid": step.sid, "source": step.source.value}
    if step.sender is not None:
        told["sender"] = step.sender
    if step.num_segments:
        told["segments"] = step.num_segments
    if step.error_message is not None:
        told["detail"] = step.error_message
    return told
