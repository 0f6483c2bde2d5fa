"""Configuration, switches, running processes and what waits, put together lane by lane: pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connectors.twilio.errors import classify
from schemas.records import Control, ControlAction, ControlSubject, MessageClass
from streams.control.switches import Switches, lane_of
from streams.dispatch.lanes import Lane, LaneTable

from .days import Day
from .running import Answer
from .waiting import Waiting

CLASSES = tuple(MessageClass)


@dataclass(frozen=True, slots=True)
class Trouble:
    """An error that holds a lane or its account.

    Attributes:
        subject: `lane us-short`, `account main`.
        code: Twilio's, where there is one.
        meaning: what the code means.
        why: what was seen, in words.
        fix: what to do.
        since, probe_at: epoch milliseconds, where known; at the probe one message is tried.
    """

    subject: str
    code: int | None
    meaning: str
    why: str
    fix: str
    since: int | None = None
    probe_at: int | None = None


@dataclass(slots=True)
class LaneRow:
    """One lane. Rates in segments per second, times in epoch milliseconds; None where nobody tells.

    Attributes:
        rate: in force; `configured_rate` unless a switch changed it (`changed`) or dispatch says otherwise.
        budgets: what it shares with others, `group <name>`, the same at a carrier, or `budget <name>`; at which rate in
            force.
        pause: the operator's pause that holds it: its own, its group's or its account's.
        failing: too many of its messages fail for its own sake; policy avoids it.
        days: of its budget at carriers.
        served_by: the process that serves it, `host:port`.
        held: messages that dispatch holds, by class; `waiting` counts those in Kafka, too, of its partition.
        partition_shared: other lanes' messages are among `waiting`.
        endless: it has no end in sight: paused.
    """

    name: str
    account: str
    group: str
    partition: int
    configured_rate: float
    rate: float
    budgets: dict[str, float] = field(default_factory=dict)
    changed: Control | None = None
    pause: Control | None = None
    troubles: list[Trouble] = field(default_factory=list)
    failing: Control | None = None
    days: list[Day] = field(default_factory=list)
    served_by: str | None = None
    sending: float | None = None
    utilisation: float | None = None
    held: dict[str, int] | None = None
    in_flight: int | None = None
    waiting: dict[str, int] | None = None
    partition_shared: bool = False
    eta_s: float | None = None

    @property
    def state(self) -> str:
        """One word: `paused`, `trouble`, `failing` or `open`."""
        if self.pause is not None:
            return "paused"
        return "trouble" if self.troubles else "failing" if self.failing is not None else "open"

    def backlog(self, message_class: MessageClass) -> int | None:
        """Messages of a class that wait: in Kafka, else as far as dispatch holds them."""
        counted = self.waiting if self.waiting is not None and not self.partition_shared else self.held or self.waiting
        return None if counted is None else counted.get(message_class.value, 0)


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything.

    Attributes:
        lanes: in the order of the configuration.
        others: pauses of apps, and what is in force of subjects that are not configured any more.
        answers: the dispatch processes that were asked.
        days: of all budgets at carriers.
        unknown_waiting: why nobody can tell what waits in Kafka; empty when it is known.
    """

    at: int
    lanes: list[LaneRow]
    others: list[Control]
    answers: Sequence[Answer]
    unknown_waiting: str = ""
    days: list[Day] = field(default_factory=list)


def overview(
    table: LaneTable,
    switches: Switches,
    answers: Sequence[Answer],
    waits: Waiting | str,
    now_ms: int,
    days: Sequence[Day] = (),
) -> Overview:
    """Put it together.

    Args:
        waits: what waits in Kafka, or why that is not known.
        days: of budgets at carriers.
    """
    served = {
        lane["lane"]: (answer, lane)
        for answer in answers
        if answer.view is not None
        for lane in answer.view["lanes"]
        if lane["served_here"]
    }
    tenants = Counter(table.partition_of(name) for name in table.lanes)
    rows = []
    for name, lane in table.lanes.items():
        row = _configured(table, switches, lane, now_ms)
        row.partition_shared = tenants[row.partition] > 1
        row.days = [each for each in days if each.budget == table.groups[lane.group].budget]
        if not isinstance(waits, str):
            row.waiting = {each.value: waits.get((row.partition, each), 0) for each in CLASSES}
        if name in served:
            _running(row, *served[name])
        _add_eta(row, served[name][1] if name in served else None)
        rows.append(row)
    others = [each for each in switches.in_force(now_ms) if _shown_apart(each, table)]
    return Overview(now_ms, rows, others, answers, waits if isinstance(waits, str) else "", list(days))


def places(lane: Lane) -> tuple[tuple[ControlSubject, str], ...]:
    """What a lane can be held by."""
    return (
        (ControlSubject.LANE, lane.name),
        (ControlSubject.GROUP, lane.group),
        (ControlSubject.ACCOUNT, lane.account),
    )


def _configured(table: LaneTable, switches: Switches, lane: Lane, now_ms: int) -> LaneRow:
    changed = switches.rate(ControlSubject.LANE, lane.name, now_ms)
    row = LaneRow(
        lane.name,
        lane.account,
        lane.group,
        table.partition_of(lane.name),
        lane.rate,
        lane.rate if changed is None else changed,
        _budgets(table, switches, lane, now_ms),
    )
    row.failing = switches.failing(lane.name, now_ms)
    for kind, subject in places(lane):
        row.pause = row.pause or switches.paused(kind, subject, now_ms)
        trouble = switches.trouble(kind, subject)
        if trouble is not None:
            row.troubles.append(_trouble(trouble))
    for name, _, record in switches.refused_countries():
        if name == lane.name and (record.until is None or record.until > now_ms):
            row.troubles.append(_trouble(record))
    row.changed = next((each for each in switches.in_force(now_ms) if _is_rate_of(each, lane)), None)
    return row


def _budgets(table: LaneTable, switches: Switches, lane: Lane, now_ms: int) -> dict[str, float]:
    group, found = table.groups[lane.group], {}
    if group.rate is not None:
        found[f"group {group.name}"] = switches.rate(ControlSubject.GROUP, group.name, now_ms) or group.rate
    for carrier, rate in group.carriers.items():
        found[f"group {group.name} at {carrier}"] = rate
    budget = None if group.budget is None else table.budgets[group.budget]
    if budget is not None and budget.rate is not None:
        found[f"budget {budget.name}"] = budget.rate
    return found


def _is_rate_of(record: Control, lane: Lane) -> bool:
    return (
        record.action is ControlAction.RATE
        and record.subject_kind is ControlSubject.LANE
        and record.subject == lane.name
    )


def _trouble(record: Control) -> Trouble:
    known = None if record.error_code is None else classify(record.error_code)
    return Trouble(
        f"{record.subject_kind.value} {record.subject}",
        record.error_code,
        "" if known is None else known.title,
        record.reason or "",
        record.fix or ("" if known is None else known.action),
        record.at,
        record.until,
    )


def _running(row: LaneRow, answer: Answer, lane: Mapping[str, Any]) -> None:
    row.served_by = answer.at
    row.rate = lane["rate"]
    row.sending, row.utilisation = lane["sending"], lane["utilisation"]
    row.held, row.in_flight = dict(lane["queued"]), lane["in_flight"]
    told = {trouble.subject for trouble in row.troubles}
    assert answer.view is not None
    of_account: Mapping[str, Any] = next(
        (each for each in answer.view["accounts"] if each["account"] == row.account), {}
    )
    for subject, held in ((f"lane {row.name}", lane["held"]), (f"account {row.account}", of_account.get("held"))):
        if held is not None and subject not in told:
            code, meaning = held.get("code"), held.get("meaning", "")
            row.troubles.append(
                Trouble(subject, code, meaning, held["why"], held["fix"], probe_at=held.get("next_probe") or None)
            )


def _add_eta(row: LaneRow, lane: Mapping[str, Any] | None) -> None:
    """What waits in Kafka beyond what dispatch holds takes as many segments each as what it holds."""
    if row.pause is not None:
        return
    row.eta_s = None if lane is None else lane["eta_s"]
    if row.waiting is None or row.partition_shared:
        return
    messages = sum(row.waiting.values())
    held = sum(row.held.values()) if row.held else 0
    each = lane["queued_segments"] / held if lane is not None and held else 1.0
    row.eta_s = max(row.eta_s or 0.0, round(messages * each / row.rate, 1))


def _shown_apart(record: Control, table: LaneTable) -> bool:
    match record.subject_kind:
        case ControlSubject.LANE:
            return lane_of(record.subject) not in table.lanes
        case ControlSubject.GROUP:
            shown = (ControlAction.RATE, ControlAction.MOVE_BEGIN)
            return record.subject not in table.groups or record.action in shown
        case ControlSubject.ACCOUNT:
            return all(lane.account != record.subject for lane in table.lanes.values())
        case ControlSubject.BUDGET:
            return False  # its days are told by themselves
        case _:
            return True
