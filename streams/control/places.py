"""On which partition a pacing group lies, by its last record on `comms.control`: pure."""

from __future__ import annotations

from dataclasses import dataclass

from schemas.records import Control, ControlAction, ControlSubject


@dataclass(frozen=True, slots=True)
class Place:
    """Where a group is served.

    Attributes:
        home: the partition whose owner paces it.
        opening: while it moves, the partition that stays closed until the home is empty.
    """

    home: int
    opening: int | None = None


def place_of(record: Control | None, configured: int) -> Place:
    """The place; where nothing is known yet, the configured one."""
    if record is None or record.to_partition is None:
        return Place(configured)
    if record.action is ControlAction.MOVE_BEGIN and record.from_partition is not None:
        return Place(record.from_partition, record.to_partition)
    return Place(record.to_partition)


def places_of(record: Control | None) -> frozenset[int]:
    """Partitions on which the group lies or has lain, as far as its last record tells."""
    both = () if record is None else (record.from_partition, record.to_partition)
    return frozenset(each for each in both if each is not None)


def conflict(group: str, record: Control | None, configured: int) -> str | None:
    """Why a process with this configured number may not serve, in words with the fix; None when it may."""
    place = place_of(record, configured)
    if configured in (place.home, place.opening):
        return None
    if place.opening is not None:
        lies = f"moves from partition {place.home} to {place.opening}"
        return f"group {group} {lies}, and {configured} is configured; configure {place.opening}"
    return (
        f"group {group} lies on partition {place.home}, and {configured} is configured; "
        f"run `commlayer lanes move {group} {configured}` first, or configure {place.home}"
    )


def moved(group: str, to: int, *, by: str, at: int, since: int | None = None) -> Control:
    """The record that a group lies on a partition from now on."""
    return Control(
        subject_kind=ControlSubject.GROUP,
        subject=group,
        action=ControlAction.MOVE_DONE,
        from_partition=since,
        to_partition=to,
        by=by,
        at=at,
    )
