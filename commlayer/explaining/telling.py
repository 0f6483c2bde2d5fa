"""Stories for people (lines) and programs (plain values). Every number in them is masked: an explanation ends up in
tickets and chats. Pure."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from typing import Any

from commlayer.moments import moment_words
from connectors.masking import mask_numbers, mask_within
from connectors.twilio.errors import ErrorPolicy
from schemas.records import Attempt, AttemptKind, Callback, Follows, LifecycleEvent, Stage

from .advice import advice, meaning, sentence
from .story import Step, Story, moment_of

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
    "http_status",
    "request_id",
    "owner",
)
_MOMENTS = frozenset({"deadline", "until"})
_WORDS = {"rule_version": "rules", "sid": "SID", "http_status": "HTTP", "request_id": "Twilio-Request-Id"}
_FOLLOWS = {
    Follows.FINAL: "this was its end in dispatch",
    Follows.RETRY: "the next attempt",
    Follows.WHEEL: "back to policy for another round",
}
_INDENT = " " * 6
_WIDTH = 100


def lines(story: Story, errors: ErrorPolicy) -> Iterator[str]:
    """The story as text, a line at a time. Steps fit a terminal of 100 columns; the last two lines are whole."""
    for line in _lines(story, errors):
        yield from _folded(mask_numbers(line))


def as_data(story: Story, errors: ErrorPolicy) -> dict[str, Any]:
    """The story as plain values, ready for JSON: `message`, `steps`, `status`."""
    now = story.now
    data = {
        "message_id": story.message_id,
        "message": dict(_about(story)),
        "steps": [_step(step, errors) for step in story.steps],
        "unreadable": story.unreadable,
        "untold": story.untold,
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
    words = [moment_words(story.began_at), story.message_id, now.app, now.category or "", now.status.value, why]
    return mask_numbers("  ".join(word for word in words if word))


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
    if story.untold:
        yield f"({story.untold})"
    if story.unreadable:
        yield f"({story.unreadable} records under this id could not be read)"
    final = "final" if story.now.is_final else "not final"
    yield f"now: {story.now.status.value} ({final}) since {moment_words(story.now.updated_at)}"
    yield f"what can be done: {advice(story.now, errors)}"


def _folded(line: str) -> Iterator[str]:
    if len(line) <= _WIDTH or not line.startswith(_INDENT):
        yield line
        return
    at_commas = [""]
    for part in re.split(r"(?<=,) ", line):
        longer = f"{at_commas[-1]} {part}" if at_commas[-1] else part
        if len(longer) <= _WIDTH:
            at_commas[-1] = longer
        else:
            at_commas.append(f"{_INDENT}  {part}")
    if max(map(len, at_commas)) <= _WIDTH:  # so that a name stays with its value
        yield from at_commas
        return
    yield from textwrap.wrap(
        line, _WIDTH, subsequent_indent=f"{_INDENT}  ", break_long_words=False, break_on_hyphens=False
    )


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
        ("requested", None if now.requested_at is None else moment_words(now.requested_at)),
    ]
    yield from ((name, str(value)) for name, value in named if value)


def _step_lines(step: Step, errors: ErrorPolicy) -> Iterator[str]:
    told = _step(step, errors)
    yield f"    {moment_words(moment_of(step))}  {told['by']:<8}  {told['status']}"
    reason = told.get("reason")
    if reason is not None:
        yield f"{_INDENT}why: {reason}: {told.get('meaning') or 'no reason of this version'}"
    if "detail" in told:
        yield f"{_INDENT}{told['detail']}"
    if "error_code" in told:
        what, fix = sentence(told["error"]), sentence(told["fix"])
        yield f"{_INDENT}error {told['error_code']} ({told['error_class']}): {what} Fix: {fix}"
    if "follows" in told:
        at = f", not before {moment_words(told['follows_at'])}" if "follows_at" in told else ""
        yield f"{_INDENT}then: {told['follows_in_words']}{at}"
    shown = [
        f"{_WORDS.get(name, name)} {moment_words(told[name]) if name in _MOMENTS else told[name]}"
        for name in _SHOWN_WITH_STEP
        if name in told
    ]
    if shown:
        yield f"{_INDENT}{', '.join(shown)}"
    if told.get("facts"):
        yield f"{_INDENT}facts: " + ", ".join(f"{name} {value}" for name, value in sorted(told["facts"].items()))


def _step(step: Step, errors: ErrorPolicy) -> dict[str, Any]:
    told: dict[str, Any] = {"at": moment_of(step), "round": step.round}
    if step.attempt is not None:
        told["attempt"] = step.attempt
    if isinstance(step, LifecycleEvent):
        told |= {"by": step.stage.value, "status": step.status.value}
        told |= {name: value for name in _SHOWN_WITH_STEP if (value := getattr(step, name, None)) is not None}
        if step.reason is not None:
            told |= {"reason": step.reason, "meaning": meaning(step.reason)}
        if step.detail is not None:
            told["detail"] = step.detail
        if step.facts:
            told["facts"] = dict(step.facts)
    elif isinstance(step, Attempt):
        told |= _attempt(step)
    else:
        told |= _callback(step)
    if step.error_code is not None:
        error = errors.classify(step.error_code)
        scope = error.scope.value if isinstance(step, Callback) else step.error_class or error.scope.value
        told |= {"error_code": step.error_code, "error_class": scope, "error": error.title, "fix": error.action}
    return told


def _attempt(step: Attempt) -> dict[str, Any]:
    told: dict[str, Any] = {"by": Stage.DISPATCH.value, "status": step.kind.value}
    if step.kind is AttemptKind.INTENT:
        return told | {"lane": step.lane, "account": step.account, "segments": step.segments, "owner": step.owner}
    if step.outcome is not None:
        told |= {"outcome": step.outcome.value, "status": f"{step.kind.value} {step.outcome.value}"}
    for name in ("http_status", "sid", "request_id", "follows_at"):
        value = getattr(step, name)
        if value is not None:
            told[name] = value
    if step.reason is not None:
        told |= {"reason": step.reason, "meaning": meaning(step.reason)}
    if step.error_message is not None:
        told["detail"] = step.error_message
    if step.follows is not None:
        words = _FOLLOWS[step.follows] + (f" ({step.final_status})" if step.final_status is not None else "")
        told |= {"follows": step.follows.value, "follows_in_words": words}
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
