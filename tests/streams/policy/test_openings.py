"""Counting the people to whom a WhatsApp sender wrote first within 24 h."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streams.policy.openings import Openings
from streams.policy.whatsapp import WINDOW_MS

from .installation import HOUR, NOW, sender

HOME = 3


def counting(*openings: tuple[str, str, int]) -> Openings:
    made = Openings([sender("wa", 0, daily_people=100), sender("wb", 1, daily_people=100), sender("free", 2)])
    made.restore(HOME, openings)
    return made


def test_people_count_and_not_messages_and_nobody_for_themselves() -> None:
    openings = counting()
    for person, at in (("+1", NOW), ("+2", NOW + 1), ("+1", NOW + 2)):
        openings.note(HOME, "wa", person, at)
    assert openings.others(HOME, "+3", NOW + 3) == {"wa": 2}
    assert openings.others(HOME, "+1", NOW + 3) == {"wa": 1}


def test_senders_and_partitions_are_counted_each_for_itself() -> None:
    openings = counting(("wa", "+1", NOW), ("wb", "+1", NOW), ("wb", "+2", NOW))
    openings.note(HOME + 1, "wa", "+9", NOW)
    assert openings.others(HOME, "+3", NOW) == {"wa": 1, "wb": 2}
    assert openings.others(HOME + 1, "+3", NOW) == {"wa": 1}


def test_who_is_written_to_again_counts_for_another_day() -> None:
    openings = counting(("wa", "+1", NOW))
    openings.note(HOME, "wa", "+1", NOW + 23 * HOUR)
    assert openings.others(HOME, "+2", NOW + 25 * HOUR) == {"wa": 1}
    assert openings.others(HOME, "+2", NOW + 47 * HOUR) == {"wa": 0}


def test_a_sender_without_a_limit_costs_no_memory() -> None:
    openings = counting(("free", "+1", NOW))
    assert openings.others(HOME, "+2", NOW) == {}


def test_a_partition_that_is_let_go_is_forgotten_and_begins_with_what_its_state_holds() -> None:
    openings = counting(("wa", "+1", NOW), ("wa", "+2", NOW))
    openings.restore(HOME, [("wa", "+7", NOW)])
    assert openings.others(HOME, "+3", NOW) == {"wa": 1}
    openings.drop(HOME)
    assert openings.others(HOME, "+3", NOW) == {}


@given(
    st.lists(st.tuples(st.sampled_from(["+1", "+2", "+3", "+4"]), st.integers(0, WINDOW_MS // 3)), max_size=40),
    st.sampled_from(["+1", "+9"]),
)
def test_the_count_is_that_of_the_people_of_the_window(steps: list[tuple[str, int]], asking: str) -> None:
    openings, at, noted = counting(), NOW, []
    for person, later in steps:
        at += later
        openings.note(HOME, "wa", person, at)
        noted.append((person, at))
        expected = {name for name, moment in noted if moment > at - WINDOW_MS and name != asking}
        assert openings.others(HOME, asking, at) == {"wa": len(expected)}
