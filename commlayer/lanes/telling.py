"""The overview for people (rich tables) and for programs (plain values)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from commlayer.moments import LAST_MS
from schemas.records import Control, ControlAction

from .days import Day
from .overview import CLASSES, LaneRow, Overview, Trouble

_STYLES = {"open": "green", "paused": "yellow", "trouble": "red", "failing": "red"}


def as_data(view: Overview) -> dict[str, Any]:
    """Plain values, ready for JSON."""
    return {
        "at": view.at,
        "lanes": [_lane(row) for row in view.lanes],
        "others": [_control(each) for each in view.others],
        "days": [day_data(each) for each in view.days],
        "dispatch": [{"at": each.at, "answers": each.view is not None, "why": each.why} for each in view.answers],
        "unknown_waiting": view.unknown_waiting or None,
    }


def table(view: Overview) -> Table:
    """One line for each lane, 100 columns as a rule; `reasons` tells why a lane is not open."""
    shown = Table()
    for name in ("lane", "account"):
        shown.add_column(name, overflow="fold")
    for name in ("rate", "sends", *(each.value for each in CLASSES), "ETA", "used"):
        shown.add_column(name, justify="right", no_wrap=True)
    shown.add_column("state", no_wrap=True)
    for row in view.lanes:
        shown.add_row(
            row.name,
            row.account,
            f"{row.rate:g}" if row.rate == row.configured_rate else f"{row.rate:g} of {row.configured_rate:g}",
            _or_dash(row.sending, "{:.1f}"),
            *(_or_dash(row.backlog(each), "{}") for each in CLASSES),
            eta(row),
            _or_dash(None if row.utilisation is None else row.utilisation * 100, "{:.0f} %"),
            Text(
                "not served" if row.state == "open" and row.served_by is None else row.state, style=_STYLES[row.state]
            ),
        )
    return shown


def reasons(view: Overview) -> Iterator[str]:
    """What holds lanes, in words; lanes that are held by the same in one line."""
    held: dict[str, list[str]] = {}
    for row in view.lanes:
        if row.state != "open":
            held.setdefault(state(row), []).append(row.name)
    for words, lanes in held.items():
        yield f"{', '.join(lanes)}: {words}"


def details(row: LaneRow) -> Table:
    """All of one lane."""
    shown = Table(title=f"lane {row.name}", title_justify="left", show_header=False)
    shown.add_column(no_wrap=True)
    shown.add_column(overflow="fold")
    for name, value in _details(row):
        shown.add_row(name, value)
    return shown


def state(row: LaneRow) -> str:
    """In words: by whom, why, until when; or which trouble."""
    words = [] if row.pause is None else [pause(row.pause)]
    words += [trouble(each) for each in row.troubles]
    if row.failing is not None:
        words.append(failing(row.failing))
    return "; ".join(words) or ("open" if row.served_by is not None else "open, not served now")


def pause(record: Control) -> str:
    """A pause, and whose it is."""
    return _switch(record, f" ({record.subject_kind.value} {record.subject})")


def switch(record: Control) -> str:
    """A pause, a changed rate or a move, in words, for a reader who knows whose it is."""
    return _switch(record, "")


def _switch(record: Control, whose: str) -> str:
    what = "paused" if record.action is ControlAction.PAUSE else record.action.value
    if record.action is ControlAction.MOVE_BEGIN:
        what = f"moves from partition {record.from_partition} to {record.to_partition}"
    if record.rate is not None:
        what = f"{record.rate:g} segments/s"
    why = f": {record.reason}" if record.reason else ""
    until = f", until {moment(record.until)}" if record.until is not None else ""
    return f"{what}{whose} by {record.by}{why}{until}"


def trouble(found: Trouble) -> str:
    """Code, meaning, fix."""
    code = f"{found.code} {found.meaning}".strip() if found.code is not None else ""
    words = ": ".join(each for each in (found.subject, code or found.why) if each)
    return words + (f"; fix: {found.fix}" if found.fix else "")


def failing(record: Control) -> str:
    """What was counted, what can be done, until when policy avoids the lane."""
    fix = f"; fix: {record.fix}" if record.fix else ""
    until = f"; avoided until {moment(record.until)}" if record.until is not None else ""
    return f"failing: {record.reason or 'too many messages fail'}{until}{fix}"


def day(today: Day) -> str:
    """How much of it is used up, what ended it and until when, who opened it again."""
    state = today.state
    words = ["not counted"] if state.per_day is None else [f"{state.used:,} of {state.per_day:,} segments used"]
    if state.kept_for_critical:
        words[0] += f", {state.kept_for_critical:,} kept for critical"
    if today.ended is not None:
        fix = f"; fix: {today.ended.fix}" if today.ended.fix else ""
        words.append(f"Twilio says it is over ({today.ended.error_code} {today.ended.reason}){fix}")
    if state.waits_until is not None:
        words.append(f"messages wait until {moment(state.waits_until)}")
    if today.reopened is not None:
        why = f": {today.reopened.reason}" if today.reopened.reason else ""
        words.append(f"opened again at {moment(today.reopened.at)} by {today.reopened.by}{why}")
    return "; ".join(words)


def day_data(today: Day) -> dict[str, Any]:
    """A day as plain values; segments, times in epoch milliseconds."""
    return {
        "budget": today.budget,
        "carrier": today.carrier,
        **asdict(today.state),
        "ended": None if today.ended is None else _control(today.ended),
        "reopened": None if today.reopened is None else _control(today.reopened),
    }


def eta(row: LaneRow) -> str:
    """Until what waits will have left; `never` while it is paused."""
    if row.pause is not None:
        return "never" if any(row.backlog(each) for each in CLASSES) else "-"
    if row.eta_s is None:
        return "-"
    least = ">" if row.partition_shared and row.waiting is not None and _hidden(row) else ""
    return least + _duration(row.eta_s)


def moment(at_ms: int) -> str:
    """Local to nobody: UTC. A record may hold a number that is no date."""
    if not 0 <= at_ms <= LAST_MS:
        return f"{at_ms} ms"
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def notes(view: Overview) -> Iterator[str]:
    """What a reader must know to read the table rightly."""
    for answer in view.answers:
        if answer.view is None:
            yield f"dispatch at {answer.at}: {answer.why}"
    if all(answer.view is None for answer in view.answers):
        fix = "start it, or say where it runs with --at HOST:PORT (health.dispatch of the configuration)"
        yield f"no dispatch process answers: what is held and sent is not known; {fix}"
    if view.unknown_waiting:
        yield f"what waits in Kafka is not known: {view.unknown_waiting}"
    for record in view.others:
        yield f"{record.subject_kind.value} {record.subject}: {switch(record)}"
    for each in view.days:
        if each.state.waits_until is not None or each.reopened is not None:
            yield f"budget {each.budget} at {each.carrier}: {day(each)}"


def _details(row: LaneRow) -> Iterator[tuple[str, str]]:
    yield "state", state(row)
    yield "account", row.account
    yield "group", row.group
    yield "partition", f"{row.partition}{' (shared)' if row.partition_shared else ''}"
    yield "rate", f"{row.rate:g} segments/s, configured {row.configured_rate:g}"
    for name, rate in row.budgets.items():
        yield "shares", f"{rate:g} segments/s of {name}"
    for each in row.days:
        yield f"day at {each.carrier}", day(each)
    if row.changed is not None:
        yield "changed", switch(row.changed)
    for found in row.troubles:
        yield "trouble", trouble(found)
        if found.why:
            yield "", found.why
        if found.since is not None:
            yield "since", moment(found.since)
        if found.probe_at is not None:
            yield "next try", moment(found.probe_at)
    yield "sends", _or_dash(row.sending, "{:.2f} segments/s")
    yield "used", _or_dash(None if row.utilisation is None else row.utilisation * 100, "{:.0f} %")
    yield "held", _by_class(row.held)
    yield "waiting in Kafka", _by_class(row.waiting) + (" (of the partition)" if row.partition_shared else "")
    yield "under way", _or_dash(row.in_flight, "{}")
    yield "ETA", eta(row)
    yield "served by", row.served_by or "nobody that was asked"


def _hidden(row: LaneRow) -> bool:
    return sum((row.waiting or {}).values()) > sum((row.held or {}).values())


def _by_class(counts: dict[str, int] | None) -> str:
    return "-" if counts is None else ", ".join(f"{name} {count}" for name, count in counts.items())


def _duration(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, hours = seconds / 60, seconds / 3600
    return f"{minutes:.0f} min" if minutes < 120 else f"{hours:.1f} h"


def _or_dash(value: float | None, how: str) -> str:
    return "-" if value is None else how.format(value)


def _lane(row: LaneRow) -> dict[str, Any]:
    return {
        "lane": row.name,
        "account": row.account,
        "group": row.group,
        "partition": row.partition,
        "partition_shared": row.partition_shared,
        "configured_rate": row.configured_rate,
        "rate": row.rate,
        "budgets": row.budgets,
        "state": row.state,
        "paused": None if row.pause is None else _control(row.pause),
        "rate_changed": None if row.changed is None else _control(row.changed),
        "troubles": [asdict(each) for each in row.troubles],
        "failing": None if row.failing is None else _control(row.failing),
        "served_by": row.served_by,
        "sending": row.sending,
        "utilisation": row.utilisation,
        "held": row.held,
        "waiting": row.waiting,
        "in_flight": row.in_flight,
        "eta_s": row.eta_s,
    }


def _control(record: Control) -> dict[str, Any]:
    return {name: value for name, value in record.to_avro().items() if value is not None}
