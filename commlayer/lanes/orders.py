"""What an operator may order of whom, and the record that says it: pure."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from math import inf

from commlayer.config import Configuration
from commlayer.config.conversions import group_of, lane_table
from commlayer.config.suggest import instead
from schemas.records import Control, ControlAction, ControlSubject
from streams.control.places import place_of
from streams.control.switches import LOWEST_RATE, Aspect, Switches, at_country, control_key


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is meant: `lane us-short`."""

    kind: ControlSubject
    name: str

    def __str__(self) -> str:
        return f"{self.kind.value} {self.name}"


@dataclass(frozen=True, slots=True)
class Word:
    """Who orders it, why, and how long it holds.

    Attributes:
        at, until: epoch milliseconds.
    """

    by: str
    reason: str | None
    at: int
    until: int | None = None


class Refused(Exception):
    """Nothing would come of it. `fix` says what to do instead."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


def known(config: Configuration, kind: ControlSubject) -> Collection[str]:
    """The configured names of a kind; a sender without group is a group of its own."""
    match kind:
        case ControlSubject.LANE:
            return config.senders
        case ControlSubject.GROUP:
            return {*config.groups, *(group_of(name, sender) for name, sender in config.senders.items())}
        case ControlSubject.ACCOUNT:
            return config.accounts
        case ControlSubject.APP:
            return config.apps
        case ControlSubject.BUDGET:
            return config.budgets


def pause(config: Configuration, subject: Subject, word: Word) -> tuple[bytes, Control]:
    """Key and record of a pause."""
    _must_exist(config, subject)
    return _record(subject, Aspect.PAUSE, ControlAction.PAUSE, word)


def resume(config: Configuration, subject: Subject, word: Word, switches: Switches) -> tuple[bytes, Control]:
    """Key and record that end an operator's pause, also of what is not configured any more."""
    if switches.paused(subject.kind, subject.name, word.at) is None:
        _must_exist(config, subject)
        raise Refused(f"{subject} is not paused.", _held_otherwise(config, subject, word, switches))
    return _record(subject, Aspect.PAUSE, ControlAction.RESUME, word)


def rate(config: Configuration, subject: Subject, segments_per_s: float | None, word: Word) -> tuple[bytes, Control]:
    """Key and record of a changed rate; None goes back to the configured one."""
    _must_exist(config, subject)
    match subject.kind:
        case ControlSubject.ACCOUNT:
            lanes = [name for name, sender in config.senders.items() if sender.account == subject.name]
            raise Refused("an account has no rate.", f"change that of its lanes: {', '.join(lanes) or 'none'}.")
        case ControlSubject.APP:
            raise Refused("an app has no rate.", f"`commlayer lanes pause --app {subject.name}` holds all of it.")
        case ControlSubject.GROUP:
            _must_have_rate(config, subject.name)
        case _:
            pass
    if segments_per_s is None:
        return _record(subject, Aspect.RATE, ControlAction.CLEAR, word)
    if not LOWEST_RATE <= segments_per_s < inf:
        fix = f"pause it to stop it; the lowest rate is {LOWEST_RATE:g} segments per second."
        raise Refused(f"{segments_per_s:g} is no rate.", fix)
    key, record = _record(subject, Aspect.RATE, ControlAction.RATE, word)
    record.rate = segments_per_s
    return key, record


def retry(config: Configuration, lane: str, country: str, word: Word, switches: Switches) -> tuple[bytes, Control]:
    """Key and record that let a lane be tried again for a country (ISO 3166 alpha-2) that Twilio refuses it for."""
    refused = sorted(place for name, place, _ in switches.refused_countries() if name == lane)
    if country not in refused:
        _must_exist(config, Subject(ControlSubject.LANE, lane))
        fix = f"it is for {', '.join(refused)}." if refused else "nothing is to do."
        raise Refused(f"lane {lane} is not refused for {country}.", fix)
    return _record(Subject(ControlSubject.LANE, at_country(lane, country)), Aspect.TROUBLE, ControlAction.CLEAR, word)


def move(config: Configuration, group: str, to: int, word: Word, switches: Switches) -> tuple[bytes, Control]:
    """Key and record that begin a move of a group to another partition."""
    subject = Subject(ControlSubject.GROUP, group)
    _must_be_whole(config, group, to)
    _must_exist(config, subject)
    count = config.kafka.partitions.dispatch
    if not 0 <= to < count:
        raise Refused(f"partition {to} does not exist: there are {count}.", "raise kafka.partitions.dispatch first.")
    groups = lane_table(config).groups
    _must_move_alone(config, group)
    place = place_of(switches.place(group), groups[group].partition)
    if place.opening is not None:
        raise Refused(
            f"group {group} moves from partition {place.home} to {place.opening} already.",
            f"configure {place.opening}; the move ends when {place.home} is empty.",
        )
    if place.home == to:
        raise Refused(f"group {group} lies on partition {to} already.", "nothing is to do.")
    others = [name for name, other in groups.items() if other.partition == to and name != group]
    if others and not _is_shared(config, group):
        raise Refused(
            f"partition {to} is that of {', '.join(others)}.",
            "choose a free one (`commlayer lanes plan`), or write `shared: true` at all of them.",
        )
    key, record = _record(subject, Aspect.PLACE, ControlAction.MOVE_BEGIN, word)
    record.from_partition, record.to_partition = place.home, to
    return key, record


def _must_be_whole(config: Configuration, name: str, to: int) -> None:
    if name in config.senders and name not in known(config, ControlSubject.GROUP):
        group = group_of(name, config.senders[name])
        raise Refused(
            f"{name} is one sender of group {group}.", f"all of it moves: `commlayer lanes move {group} {to}`."
        )


def _must_move_alone(config: Configuration, group: str) -> None:
    budget = config.groups[group].budget if group in config.groups else None
    others = [name for name, other in config.groups.items() if other.budget == budget and name != group]
    if budget is None or not others:
        return
    rate = config.budgets[budget].rate
    divide = "" if rate is None else f"divide budgets.{budget}.rate among the groups as their own `rate`, "
    raise Refused(
        f"group {group} shares budget {budget} with {', '.join(others)}: on its way two processes would pace it.",
        f"{divide}take `budget` away from them and restart dispatch; move them one by one; then write `budget` again.",
    )


def _is_shared(config: Configuration, group: str) -> bool:
    return config.groups[group].shared if group in config.groups else config.senders[group].shared


def configured_rate(config: Configuration, subject: Subject) -> float | None:
    """Of a lane or group."""
    if subject.kind is ControlSubject.LANE:
        return config.senders[subject.name].rate
    return config.groups[subject.name].rate if subject.name in config.groups else None


def _must_exist(config: Configuration, subject: Subject) -> None:
    names = known(config, subject.kind)
    if subject.name not in names:
        fix = instead(subject.name, names, otherwise="configure it.")
        raise Refused(f"no {subject.kind.value} is called `{subject.name}`.", fix)


def _must_have_rate(config: Configuration, name: str) -> None:
    if name in config.groups and config.groups[name].rate is not None:
        return
    lanes = [each for each, sender in config.senders.items() if group_of(each, sender) == name]
    fix = f"change the rate of its lanes ({', '.join(lanes) or 'it has none'})"
    fix += f", or configure groups.{name}.rate." if name in config.groups else "."
    raise Refused(f"group {name} has no rate of its own: dispatch would ignore one.", fix)


def _held_otherwise(config: Configuration, subject: Subject, word: Word, switches: Switches) -> str:
    if subject.kind is not ControlSubject.LANE:
        return "`commlayer lanes list` shows what is."
    sender = config.senders[subject.name]
    for kind, name in (
        (ControlSubject.GROUP, group_of(subject.name, sender)),
        (ControlSubject.ACCOUNT, sender.account),
    ):
        if switches.paused(kind, name, word.at) is not None:
            return f"its {kind.value} is: `commlayer lanes resume --{kind.value} {name}`."
    return "`commlayer lanes list` shows what is."


def _record(subject: Subject, aspect: Aspect, action: ControlAction, word: Word) -> tuple[bytes, Control]:
    record = Control(
        subject_kind=subject.kind,
        subject=subject.name,
        action=action,
        reason=word.reason,
        by=word.by,
        at=word.at,
        until=word.until,
    )
    return control_key(subject.kind, subject.name, aspect), record
