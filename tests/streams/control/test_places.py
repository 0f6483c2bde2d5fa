from __future__ import annotations

from typing import Any

import pytest

from schemas.records import Control, ControlAction, ControlSubject
from streams.control.places import Place, conflict, moved, place_of, places_of
from streams.control.switches import Aspect, Switches, control_key


def moving(**more: Any) -> Control:
    return Control(
        subject_kind=ControlSubject.GROUP,
        subject="g",
        action=ControlAction.MOVE_BEGIN,
        from_partition=1,
        to_partition=4,
        by="ada",
        at=1,
        **more,
    )


DONE = moved("g", 4, by="dispatch", at=2)


def test_a_group_has_lain_where_it_moves_from_as_well_as_where_it_moves_to() -> None:
    assert places_of(None) == frozenset()
    assert places_of(moving()) == {1, 4}
    assert places_of(moved("g", 4, by="dispatch", at=2, since=1)) == {1, 4}
    assert places_of(DONE) == {4}


def test_a_group_lies_where_it_is_configured_until_something_is_known() -> None:
    assert place_of(None, 3) == Place(3)
    assert place_of(moving(), 3) == Place(1, 4)
    assert place_of(DONE, 3) == Place(4)


@pytest.mark.parametrize(
    ("record", "configured", "told"),
    [
        (None, 7, None),
        (moving(), 1, None),
        (moving(), 4, None),
        (moving(), 5, "configure 4"),
        (DONE, 4, None),
        (DONE, 1, "`commlayer lanes move g 1` first, or configure 4"),
    ],
)
def test_a_number_that_changed_without_a_move_is_a_conflict(
    record: Control | None, configured: int, told: str | None
) -> None:
    found = conflict("g", record, configured)
    assert found is None if told is None else found is not None and told in found


def test_a_place_lives_beside_pauses_and_only_a_move_is_shown_to_people() -> None:
    switches = Switches()
    key = control_key(ControlSubject.GROUP, "g", Aspect.PLACE)
    switches.take(key, moving())
    assert switches.place("g") == moving()
    assert switches.paused(ControlSubject.GROUP, "g", 5) is None
    assert list(switches.in_force(5)) == [moving()]
    switches.take(key, DONE)
    assert switches.place("g") == DONE
    assert list(switches.in_force(5)) == []
